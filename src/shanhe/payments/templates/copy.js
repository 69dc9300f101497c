// A copy button beside each particular of a transfer, where the browser lets a page write to the clipboard.
for (const button of navigator.clipboard ? document.querySelectorAll(".copied button") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    const name = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => (button.textContent = name), 2000);
  });
}
