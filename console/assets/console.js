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
