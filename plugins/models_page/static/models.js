// Dialogs, and links that lead out of the frame in which Airflow shows the page.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
  const link = event.target.closest("a[data-airflow]");
  if (link && window.parent !== window && event.button === 0) follow(event, link);
});

// The frame may neither navigate the window nor open one; a link in the window's own document may.
function follow(event, link) {
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  outside.target = event.ctrlKey || event.metaKey ? "_blank" : link.target || "_self";
  outside.rel = "noopener";
  outside.hidden = true;
  window.parent.document.body.append(outside);
  outside.click();
  outside.remove();
  event.preventDefault();
}

// A second click would start a second run.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button[type=submit]")) button.disabled = true;
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form button[type=submit]")) button.disabled = false;
});
