"use strict";

// Pages work without this. It only makes them quicker to use.

// A button with data-copy copies the text of the element that it names.
document.addEventListener("click", async (event) => {
	const button = event.target.closest("button[data-copy]");
	if (!button) return;
	event.preventDefault();
	const from = document.getElementById(button.dataset.copy);
	await navigator.clipboard.writeText(from.textContent.trim());
	button.textContent = "Copied";
});

// A form with data-once is sent once: what it does shows its result only once.
document.addEventListener("submit", (event) => {
	const form = event.target;
	if (!("once" in form.dataset)) return;
	if (form.dataset.once === "sent") event.preventDefault();
	form.dataset.once = "sent";
});
window.addEventListener("pageshow", () => {
	for (const form of document.querySelectorAll("form[data-once]")) form.dataset.once = "";
});

// A part that is being put together is looked for again, unless somebody is at something.
const making = document.querySelector("[data-reload]");
if (making) {
	const again = () => (document.hidden || document.activeElement !== document.body ? setTimeout(again, 1000) : location.reload());
	setTimeout(again, 1000 * making.dataset.reload);
}
