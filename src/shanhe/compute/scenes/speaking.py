"""Text to speech with Kokoro-82M on ONNX: Mandarin, with an accent, since the voices that come along are Japanese."""

from __future__ import annotations

import io
import json
import re
import wave
from pathlib import Path
from typing import Any, Final

import numpy as np

from shanhe.kernel.errors import Invalid

RATE: Final = 24_000
TOKENS_MAX: Final = 480
"""Of one breath; the model takes 510."""
PAUSE_S: Final = 0.25
SILENCE: Final = 0.01
ENDS: Final = re.compile(r"(?<=[。！？!?；;\n])")
BREATHS: Final = re.compile(r"(?<=[,.，、 ])")
DEFAULT_VOICE: Final = "jf_alpha"
Sound = np.ndarray[Any, Any]


class Speaker:
    """The algorithm behind `/v1/audio/speech`. `model`: a folder with vocab.json, voices.npz and model.onnx."""

    path = "/audio/speech"

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime
        from misaki.zh import ZHG2P

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(model / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._vocabulary = json.loads((model / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with np.load(model / "voices.npz") as voices:
            self._voices = {name: voices[name] for name in voices.files}
        self._sounds_of = ZHG2P()

    def run(self, asked: dict[str, Any]) -> tuple[bytes, str]:
        """`input`, `voice`, `speed`, `response_format` (wav or pcm) → sound."""
        voice, shape = str(asked.get("voice") or DEFAULT_VOICE), str(asked.get("response_format") or "wav")
        if voice not in self._voices:
            names = ", ".join(sorted(self._voices))
            raise Invalid("bad_voice", f"There is no voice {voice!r}; there are {names}.", message_zh="没有这个音色。")
        if shape not in ("wav", "pcm"):
            raise Invalid("bad_format", "This model gives wav and pcm.", message_zh="本模型仅支持 wav 与 pcm。")
        pause = np.zeros(int(PAUSE_S * RATE), np.float32)
        parts: list[Sound] = []
        for sentence in ENDS.split(str(asked["input"])):
            if sentence.strip():
                parts += [self._spoken(sentence.strip(), voice, float(asked.get("speed") or 1.0)), pause]
        sound = np.concatenate(parts) if parts else pause
        samples = (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()
        return (samples, "audio/pcm") if shape == "pcm" else (written(samples), "audio/wav")

    def _spoken(self, sentence: str, voice: str, speed: float) -> Sound:
        phonemes = self._sounds_of(sentence)
        text = phonemes[0] if isinstance(phonemes, tuple) else phonemes
        breaths = [self._said(part, voice, speed) for part in breaths_of(str(text))]
        return np.concatenate(breaths) if breaths else np.zeros(0, np.float32)

    def _said(self, phonemes: str, voice: str, speed: float) -> Sound:
        tokens = [self._vocabulary[sign] for sign in phonemes if sign in self._vocabulary][:TOKENS_MAX]
        if not tokens:
            return np.zeros(0, np.float32)
        styles = self._voices[voice]
        given = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": np.asarray(styles[min(len(tokens), len(styles)) - 1], dtype=np.float32).reshape(1, -1),
            "speed": np.array([speed], dtype=np.float32),
        }
        sound: Sound = np.asarray(self._session.run(None, given)[0], np.float32).ravel()
        loud = np.flatnonzero(np.abs(sound) > SILENCE)
        return sound[loud[0] : loud[-1] + 1] if len(loud) else np.zeros(0, np.float32)


def breaths_of(phonemes: str) -> list[str]:
    """Pieces that the model takes at once, cut where one would breathe."""
    found: list[str] = []
    for piece in BREATHS.split(phonemes):
        if found and len(found[-1]) + len(piece) <= TOKENS_MAX:
            found[-1] += piece
        else:
            found += [piece[at : at + TOKENS_MAX] for at in range(0, len(piece), TOKENS_MAX)]
    return found


def written(samples: bytes) -> bytes:
    """A WAV file of 16-bit samples."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples)
    return out.getvalue()
