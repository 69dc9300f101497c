-- What counts no tokens has price rows of its own (rule P11_scenes); until now it borrowed those of text models.
UPDATE compute.model SET price_class = kind WHERE kind IN ('ocr', 'transcription', 'speech', 'forecast');
