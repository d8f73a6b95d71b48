// What went wrong, above everything else, until it is closed or the next image comes.

/** Messages in `place`: { tell(error), clear() }. */
export function createMessages(place, words) {
  function tell(error) {
    const message = document.createElement("p");
    message.className = "message";
    message.append(document.createTextNode(words.explain(error)));
    const close = message.appendChild(document.createElement("button"));
    close.type = "button";
    close.className = "plain";
    close.textContent = words.t("page.close");
    close.addEventListener("click", () => message.remove());
    place.replaceChildren(message);
    if (place.getBoundingClientRect().top < 0) place.scrollIntoView();
  }

  return { tell, clear: () => place.replaceChildren() };
}
