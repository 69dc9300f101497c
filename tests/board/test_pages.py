"""The pages over the real modules: what is posted by a form is found, met, agreed and rewarded."""

from __future__ import annotations

import re
from uuid import uuid4

from .conftest import NEED, SOLUTION, TERMS, City, company, fund, posted


class TestPages:
    async def test_lead_from_a_form_to_the_reward(self, city: City) -> None:
        identity = city.services.identity
        firm, lab = await company(identity, "云雾茶厂"), await company(identity, "农机所")
        await fund(city.services.programmes)
        need = await posted(city.services.board, firm, NEED)
        async with await city.browser(firm) as buyer, await city.browser(lab) as maker:
            csrf = {"csrf": maker.headers["x-csrf-token"]}
            assert "还没有对接" in (await maker.get("/board/mine")).text
            assert (await maker.get("/board/new?kind=need")).status_code == 200
            assert (await maker.get("/board/new?kind=neither")).status_code == 422
            blank = await maker.get("/board/new?kind=solution")
            assert blank.status_code == 200
            number = re.findall(r'name="id" value="([^"]+)"', blank.text)[0]
            form = {"kind": "solution", "id": number, "title": SOLUTION.title, "text": SOLUTION.text, "readiness": "8",
                    "sector": "food", "until": str(SOLUTION.until), "price": "80000", "shows_name": "1"}  # fmt: skip
            wrong = await maker.post("/board/new", data=csrf | form | {"price": "八万"})
            assert (wrong.status_code, "不是金额" in wrong.text) == (422, True)
            assert (await maker.post("/board/new", data=csrf | form)).status_code == 303
            edit = await maker.get(f"/board/posts/{number}/edit")
            assert 'value="80000.00"' in edit.text
            shown = (await buyer.get(f"/board/posts/{need.id}")).text
            for part in ("农机所", "杀青", "同属食品加工", "仅按用词排名"):
                assert part in shown, part
            match = str(uuid4())
            met = {"csrf": buyer.headers["x-csrf-token"], "id": match, "mine": str(need.id), "note": "能试机吗？"}
            assert (await buyer.post(f"/board/posts/{number}/meet", data=met)).status_code == 303
            at = f"/board/matches/{match}"
            offer = csrf | {"text": TERMS, "fee": "80000", "after": "0"}
            assert (await maker.post(f"{at}/offer", data=offer)).status_code == 303
            assert "确认第 1 版报价" in (await buyer.get(at)).text
            yes = {"csrf": buyer.headers["x-csrf-token"], "round": "1"}
            assert (await buyer.post(f"{at}/accept", data=yes)).status_code == 303
            assert "已发放" in (await maker.get(at)).text
            assert NEED.title not in (await buyer.get("/board?find=杀青&kind=need")).text
