"""What states of things are called for people, in both languages: one table for every message that names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATES_ZH: Final[Mapping[str, str]] = {
    "appealed": "已申诉", "changed": "已变更", "not_needed": "无须备案", "preparing": "办理中", "reversed": "已冲正",
    "accepted": "已接受", "active": "生效中", "adopted": "已通过", "agreed": "已达成", "announced": "已公告",
    "answered": "已答复", "applied": "已生效", "approved": "已批准", "approving": "审批中", "asked": "待答复",
    "assigned": "已指派", "begun": "已开始", "booked": "已入账", "cached": "已复用", "cancelled": "已取消",
    "cancelling": "取消中", "captured": "已扣款", "closed": "已关闭", "committed": "已承诺", "completed": "已完成",
    "confirmed": "已确认", "created": "已创建", "current": "在用", "decided": "已揭晓", "declared": "已声明",
    "declined": "已谢绝", "deleted": "已删除", "delivered": "已送达", "deployed": "已部署", "deprecated": "停止更新",
    "destroyed": "已销毁", "discussion": "讨论中", "dismissed": "未予支持", "disputed": "有争议", "done": "已完成",
    "draft": "草稿", "draining": "腾空中", "dropped": "已撤下", "due": "待发放", "duplicate": "重复",
    "embedding": "向量化中", "ended": "已结束", "entries": "报名中", "erased": "已注销", "expired": "已过期",
    "explained": "已说明", "failed": "失败", "filed": "已提交", "filled": "已成交", "finalizing": "收尾中",
    "first": "首版", "frozen": "已冻结", "funded": "已到账", "gone": "已离线", "granted": "已授权",
    "granting": "发放中", "in_force": "有效", "in_progress": "进行中", "in_review": "审核中", "interest": "有意向",
    "invited": "已邀请", "issued": "已签发", "joining": "接入中", "jury": "评审中", "lapsed": "已失效",
    "left": "已退出", "listed": "在售", "market_closed": "已随休市撤销", "matched": "已匹配", "member": "成员",
    "new": "新建", "none": "无", "offer": "已出价", "open": "待处理", "paid": "已支付", "partial": "部分完成",
    "paying": "退款中",
    "passed": "已通过", "paused": "已暂停", "pending": "待处理", "planned": "已计划", "posted": "已记账",
    "previous": "前一版", "published": "已发布", "quarantined": "已隔离", "reading": "读取中", "ready": "就绪",
    "refunded": "已退款", "refused": "未通过", "rejected": "已驳回", "released": "已释放", "removed": "已移除",
    "requested": "已申请",
    "resent": "已重新汇出",
    "resolved": "已解决", "retired": "已下线", "retracted": "已撤稿", "returned": "已退回", "returning": "退回中",
    "review": "复核中", "reviewed": "已复核", "revoked": "已撤销", "running": "运行中", "self_trade": "已因自成交撤销",
    "sending": "发出中", "sent": "已发出",
    "stopped": "已停止", "submitted": "待审核", "succeeded": "成功", "suspended": "已停牌", "suspense": "待处理",
    "taken": "已采用", "trial": "灰度中",
    "unbacked": "冻结不足，已撤销", "unchecked": "未核验", "upheld": "已支持", "verified": "已核验",
    "vetoed": "已否决", "void": "已作废", "voided": "已释放", "voting": "表决中", "waiting": "等待中",
    "waiting_budget": "待预算", "withdrawn": "已撤回", "writing": "撰写中",
}  # fmt: skip

PERMISSIONS_ZH: Final[Mapping[str, str]] = {
    "accounts": "账户管理", "apply": "申请计划", "audit": "审计", "chat": "调用模型", "engines": "引擎管理",
    "keys": "密钥管理", "ledger": "账本", "members": "成员管理", "models": "模型管理", "people": "人员管理",
    "programmes": "计划审核", "publish": "上架", "receipts": "查看凭据", "roles": "角色管理", "rules": "规则",
    "store": "商店管理", "topup": "充值", "usage": "查看用量",
}  # fmt: skip

CALLS_ZH: Final[Mapping[str, str]] = {
    "insufficient_quota": "余额不足，未计费", "key_budget_exceeded": "密钥的预算已用完，未计费",
    "run_budget_exceeded": "已达到单次运行的预算上限", "rate_limit_exceeded": "请求过于频繁",
    "too_many_calls": "同时进行的调用过多", "no_engine": "该模型目前没有可用的引擎",
    "ledger_unavailable": "账本暂不可用，未计费", "engine_busy": "模型正忙",
    "invalid_idempotency_key": "Idempotency-Key 不正确", "idempotency_key_reused": "该 Idempotency-Key 属于另一次请求",
    "call_under_way": "同一 Idempotency-Key 的调用正在进行", "answer_not_kept": "该调用已完成并计费，回答未保留",
    "engine_failed": "模型没有响应，未计费",
    "engine_broke_off": "模型中途中断，只计已送达的部分", "model_not_found": "没有这个模型或智能体，或它已停止服务",
    "listing_withdrawn": "该上架项已下架", "request_too_large": "内容过长",
    "context_length_exceeded": "内容超出模型的上下文长度", "internal_error": "系统出错，未送达的部分不计费",
    "invalid_value": "请求的内容不正确", "request_timeout": "超过时限", "image_too_large": "图片过大",
    "unsupported_parameter": "这里不支持该参数", "feature_unsupported": "该模型不支持所请求的功能",
    "key_expired": "密钥已过期", "api_key_revoked": "密钥已吊销", "organisation_frozen": "机构已被冻结",
}  # fmt: skip
"""Why a call of a model was refused or broken off, by its code."""

POSTINGS_ZH: Final[Mapping[str, str]] = {
    "award": "发放", "award_cancelled": "奖励撤销", "bank_resend": "退汇重新汇出", "bank_suspense": "待处理款项",
    "budget": "预算拨入",
    "call": "模型调用", "capture": "划扣", "clawback": "追回", "clawback_owed": "待追回",
    "codes_funded": "兑换码备款", "codes_returned": "兑换码退款", "course": "课程补贴", "estate": "承继",
    "exchange_deposit": "交易资金转入", "exchange_withdrawal": "交易资金转出",
    "expiry": "到期", "fund_payment": "生态基金支出", "grant": "授予", "guarantee_recovery": "担保追偿",
    "node_kept": "暂扣收益不予退还", "node_refund": "节点调用退款",
    "node_withheld": "节点收益暂扣", "nomad_card": "游民权益发放", "nomad_card_end": "游民权益收回",
    "opening": "接入期初余额", "payout": "提现",
    "play_money": "模拟资金", "points_converted": "贡献积分兑换", "purchase": "购买", "reconciliation": "对账处理",
    "redeem": "兑换", "refund": "退款", "refund_payout": "退款付出", "reversal": "冲正",
    "service_booking": "服务预约", "stability_fund": "稳定基金", "stay": "优惠住宿", "ticket": "门票使用",
    "top_up": "人工入账", "trade": "交易",
    "trade_reversal": "成交冲正", "voucher": "消费券使用",
}  # fmt: skip
"""What a posting is called on statements, by its kind."""

ENTRIES: Final[Mapping[str, tuple[str, str]]] = {
    "approval.recorded": ("登记主管部门的批准", "Authority's approval recorded"),
    "approval.revoked": ("撤销主管部门的批准", "Authority's approval revoked"),
    "evaluation_override": ("评测放行", "Evaluation override"),
    "exchange.auction": ("集合竞价", "Auction"),
    "exchange.pause": ("暂停交易", "Trading paused"),
    "exchange.resume": ("恢复交易", "Trading resumed"),
    "exchange.reversal": ("冲正成交", "Trades reversed"),
    "filing.moved": ("算法备案进展", "Filing of an algorithm"),
    "glass.acted": ("据紧急授权单人办理", "Done by one person under break-glass"),
    "glass.ended": ("紧急授权结束", "Break-glass ended"),
    "glass.opened": ("启用紧急授权", "Break-glass opened"),
    "glass.reviewed": ("紧急授权复核", "Break-glass reviewed"),
    "governance.adopted": ("提案生效", "Proposal adopted"),
    "governance.announced": ("提案公告", "Proposal announced"),
    "governance.failed": ("提案未能生效", "Proposal could not be adopted"),
    "governance.simulated": ("规则模拟", "Simulation of a rule"),
    "governance.vetoed": ("提案被否决", "Proposal vetoed"),
    "ip.changed": ("知识产权登记变动", "Registry of rights changed"),
    "log.key": ("更换日志密钥", "Key of the log changed"),
    "log.shred": ("销毁日志隐藏内容", "Hidden content of the log destroyed"),
    "log.witness": ("见证人名单变动", "Witnesses of the log changed"),
    "nomad_card": ("游民身份卡", "Nomad ID"),
    "presence": ("游民在场", "Presence of a nomad"),
    "programme.decided": ("计划的决定", "Decision of a programme"),
    "recovered": ("恢复备份之后的区间", "Range after a recovery"),
    "request.decided": ("第二人的决定", "Second person's decision"),
    "request.done": ("申请已办结", "Request done"),
    "request.refused": ("申请未能办理", "Request could not be done"),
    "rule.amended": ("规则修订", "Rule amended"),
    "rule.in_force": ("规则生效", "Rules in force"),
    "rule.set_aside": ("搁置规则修订", "Amendment set aside"),
    "science.changed": ("开放科学登记变动", "Register of open science changed"),
    "totals": ("阶段合计", "Totals"),
}
"""What an entry of the transparency log that is no posting is called, by its kind."""

FIELDS_ZH: Final[Mapping[str, str]] = {
    "abstract": "摘要", "amount": "金额", "answer": "答复", "applied_on": "申请日", "at": "时间",
    "authors": "作者与份额", "bank": "开户银行", "client_ref": "请求编号", "document_sha256": "证书校验值",
    "email": "邮箱", "evidence": "凭证编号", "find": "关键词", "granted_on": "授权或登记日", "holder": "户名",
    "key": "密钥", "language": "语言", "licence": "许可", "link": "网址", "login": "登录名", "model": "模型",
    "name": "名称", "nights": "晚数", "note": "备注", "number": "登记号", "office": "登记机关", "owner": "所有人",
    "password": "密码", "period": "期间", "payee": "收款账户", "phone": "电话", "price": "价格",
    "rate_ppm": "使用费率", "reason": "理由", "reference": "凭证编号", "registration": "登记号", "reporter": "提交人",
    "scans": "扫码记录", "shares": "份额", "subject": "事项", "text": "内容", "title": "名称", "venue": "场所",
    "why": "理由",
}  # fmt: skip

MOVES: Final[Mapping[str, tuple[str, str]]] = {
    "credits.top_up": ("充值入账", "Book a top-up"),
    "ledger.reversal": ("冲正分录", "Reverse a posting"),
    "ledger.period_close": ("关账", "Close a period"),
    "ledger.opening": ("期初余额", "Opening balances"),
    "approvals.reversal": ("撤销紧急授权下的入账", "Undo what break-glass booked"),
    "approvals.licence": ("登记主管部门的批准", "Record an authority's approval"),
    "exchange.fund_payment": ("生态基金支出", "Payment out of the fund"),
    "exchange.reversal": ("成交冲正", "Reverse trades"),
    "credits.estate": ("账户承继", "Hand an account over"),
    "reconcile.write_off": ("核销差异", "Write a difference off"),
    "agents.run": ("冲正一次运行的全部入账", "Take back what a run booked"),
    "credits.dispute": ("退回有争议的调用费用", "Give a disputed call back"),
    "facts.checked": ("登记已核实的事实", "Record a checked fact"),
    "payments.suspense_applied": ("待处理款项核入订单", "Apply stray money to an order"),
    "payments.suspense_returned": ("待处理款项退回", "Stray money was sent back"),
    "payments.suspense_explained": ("待处理款项另有入账", "Stray money is booked elsewhere"),
    "payments.suspense_resent": ("退汇重新汇出", "Send a returned transfer again"),
    "payments.suspense_booked": ("记为银行手续费或利息", "Book as the bank's charge or interest"),
    "payments.suspense_accepted": ("确认汇往其他账户的款项", "Accept what went to another account"),
    "payments.bank_statement": ("读入银行对账单", "Take a bank statement in"),
    "payments.payout_confirmed": ("认定提现已到账", "Say that a payout arrived"),
    "payments.payout_failed": ("认定提现未付出", "Say that a payout did not arrive"),
    "credits.refund_paid": ("认定退款已人工付出", "Say that a refund was paid by hand"),
    "exchange.withdrawal_paid": ("认定交易账户资金已付出", "Say that cash of an exchange account was paid"),
    "exchange.endowment": ("生态基金划入稳定基金", "From the ecosystem fund to the stability fund"),
    "pool.withheld_back": ("退还节点的暂扣收益", "Give back what is withheld of a node"),
    "pool.withheld_kept": ("节点的暂扣收益不予退还", "Keep what is withheld of a node"),
    "exchange.receipt": ("登记转入机构交易账户的资金", "Cash into an exchange account"),
    "payments.bank_balance": ("复核银行存款余额调节表", "Sign the bank's balance against the books'"),
    "credits.budget": ("注入兑换码预算", "Credits for codes"),
    "credits.instalment": ("框架协议到账", "Instalment found at the bank"),
    "programmes.funding": ("拨入预算", "Into the budget"),
    "programmes.clawback": ("追回奖励", "Bring an award back"),
    "rule.amendment": ("修订规则", "Amend a rule"),
    "rule.set_aside": ("搁置未生效的修订", "Set aside an amendment that is not in force"),
    "programmes.guarantee": ("担保代偿", "Pay on a guarantee"),
    "nomads.certificate": ("认证场所课程", "Certify a venue's courses"),
}
"""What takes two people, by the kind of request."""

PARTIES: Final[Mapping[str, tuple[str, str]]] = {
    "person": ("个人", "person"), "company": ("企业", "company"), "institution": ("事业单位", "institution"),
    "government": ("政府机关", "government body"),
}  # fmt: skip
"""Who may be a party, by kind."""

Word = str | tuple[str, str]
"""A state by its name, or what is said instead of one: (zh, en)."""


def zh(word: Word) -> str:
    """What a state is called in Chinese; several are told by the words between them."""
    return word[0] if isinstance(word, tuple) else STATES_ZH.get(str(word), str(word))


def en(word: Word) -> str:
    """What a state is called in English."""
    return word[1] if isinstance(word, tuple) else str(word).replace("_", " ")


def field_zh(name: str) -> str:
    """What a field of a form or a request is called in Chinese."""
    return FIELDS_ZH.get(name, name)


def field_en(name: str) -> str:
    return name.removesuffix("_ppm").replace("_", " ")


def any_of(*words: Word) -> Word:
    """One of several states."""
    return "或".join(map(zh, words)), " or ".join(map(en, words))


def booking(kind: str) -> tuple[str, str]:
    """What a posting is called: (zh, en)."""
    return POSTINGS_ZH.get(kind, kind), kind.replace("_", " ")


def move(kind: str) -> tuple[str, str]:
    """What a request for a second person's word is about: (zh, en)."""
    return MOVES.get(kind, (kind, kind))
