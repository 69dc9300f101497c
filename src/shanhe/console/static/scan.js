// Reads a QR code with the camera where the browser can, and puts it into the form's field; the field works without it.

for (const box of document.querySelectorAll("[data-scan]")) {
  if (!("BarcodeDetector" in globalThis) || !navigator.mediaDevices?.getUserMedia) continue;
  const button = box.querySelector("button");
  const video = box.querySelector("video");
  const words = box.querySelector("[role=status]");
  const field = document.querySelector(box.dataset.scan);
  let stream = null;

  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.hidden = true;
  };

  const look = async (detector) => {
    if (!stream) return;
    const [found] = await detector.detect(video).catch(() => []);
    if (!found) {
      setTimeout(() => look(detector), 200);
      return;
    }
    field.value = found.rawValue;
    words.textContent = box.dataset.found;
    stop();
    field.form.querySelector("button.primary").focus();
  };

  box.hidden = false;
  button.addEventListener("click", async () => {
    if (stream) {
      stop();
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      words.textContent = box.dataset.refused;
      return;
    }
    video.srcObject = stream;
    video.hidden = false;
    await video.play();
    look(new BarcodeDetector({ formats: ["qr_code"] }));
  });
}
