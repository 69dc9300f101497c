-- Models that make pictures.
ALTER TABLE compute.model DROP CONSTRAINT model_kind_check;
ALTER TABLE compute.model ADD CONSTRAINT model_kind_check
  CHECK (kind IN ('chat', 'embedding', 'rerank', 'transcription', 'speech', 'ocr', 'forecast', 'image'));
