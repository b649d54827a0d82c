// Live progress, the keys for pages, and the examples of queries. All HTML comes escaped from the server.
"use strict";

function listen(element) {
  const stream = new EventSource(element.dataset.events);
  stream.onmessage = (event) => { element.innerHTML = event.data; };
  window.addEventListener("pagehide", () => stream.close(), { once: true });
}

document.querySelectorAll("[data-events]").forEach(listen);

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [tabindex='0']");
  if (event.key === "Enter" && event.ctrlKey && event.target.id === "query") {
    event.target.form.requestSubmit();
  } else if (!typing && !event.altKey && !event.ctrlKey && !event.metaKey) {
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`a[rel="${rel}"]`);
    if (link) link.click();
  }
});

document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-query]");
  if (example) {
    const query = document.getElementById("query");
    query.value = example.dataset.query;
    query.focus();
  }
});

// A form that htmx sends is read with the values of all its fields; empty ones would only lengthen the address.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.id !== "filters") return;
  for (const [name, value] of Object.entries(event.detail.parameters)) {
    if (value === "") delete event.detail.parameters[name];
  }
});

// An answer other than 200 carries a page with its message: show the message in place.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400) {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const notice = page.querySelector(".notice");
    const shown = document.createElement("p");
    shown.className = "notice";
    shown.setAttribute("role", "alert");
    shown.textContent = notice ? notice.textContent : "The server did not answer the request.";
    event.detail.target.replaceChildren(shown);
  }
});

if (window.matchMedia("(max-width: 44rem)").matches) {
  document.querySelectorAll("details.filters").forEach((filters) => { filters.open = false; });
}
