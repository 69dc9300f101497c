"""Speech to text with Whisper through faster-whisper; Chinese is written in simplified signs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from shanhe.kernel.errors import Invalid

TOKENS_PER_SECOND: Final = 50
SOUND_MAX_S: Final = 3_600.0


class Listener:
    """The algorithm behind `/v1/audio/transcriptions`. `model`: a folder in CTranslate2's form."""

    path = "/audio/transcriptions"

    def __init__(self, model: Path, threads: int) -> None:
        from faster_whisper import WhisperModel
        from opencc import OpenCC

        self._model = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=threads)
        self._simple = OpenCC("t2s")

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`file` (bytes), `language`, `prompt`, `temperature` → text, segments, duration, usage."""
        from faster_whisper.audio import decode_audio

        sound = asked["file"]
        if not isinstance(sound, bytes) or not sound:
            raise Invalid("no_sound", "file holds no sound.", message_zh="未提供音频文件。")
        try:
            wave = decode_audio(io.BytesIO(sound))
        except Exception as error:  # whatever the decoder of many formats makes of bytes that are none
            raise Invalid("bad_sound", "The sound can't be read.", message_zh="音频无法读取。") from error
        seconds = len(wave) / 16_000
        if not 0 < seconds <= SOUND_MAX_S:
            text = f"The sound lasts {seconds:.0f} s; at most {SOUND_MAX_S:.0f} s."
            raise Invalid("bad_sound", text, message_zh="音频为空或过长。")
        segments, about = self._model.transcribe(
            wave, language=asked.get("language") or None, initial_prompt=asked.get("prompt") or None,
            temperature=float(asked.get("temperature") or 0.0), beam_size=2, condition_on_previous_text=False,
        )  # fmt: skip
        chinese = about.language == "zh"
        rows = [
            {"start": one.start, "end": one.end, "text": self._simple.convert(one.text) if chinese else one.text}
            for one in segments
        ]
        return {
            "text": "".join(row["text"] for row in rows).strip(), "language": about.language, "duration": seconds,
            "segments": rows, "usage": {"type": "duration", "seconds": seconds},
        }  # fmt: skip
