// What keyboards and screen readers need and the theme leaves out: names for its landmarks, and focus for what scrolls.
const mend = () => {
  document.querySelectorAll("nav.md-code__nav:not([aria-label])").forEach((nav, place) => {
    const code = nav.parentElement.querySelector("code");
    nav.setAttribute("aria-label", `Code ${code?.id || code?.parentElement?.id || place}`);
  });
  document.querySelectorAll("nav.md-nav[aria-labelledby]").forEach((nav) => {
    const label = document.getElementById(nav.getAttribute("aria-labelledby"));
    nav.removeAttribute("aria-labelledby");
    nav.setAttribute("aria-label", `Pages: ${label?.textContent.trim() ?? ""}`);
  });
  document
    .querySelectorAll("pre > code:not([tabindex]), .md-typeset__scrollwrap:not([tabindex])")
    .forEach((box) => box.scrollWidth > box.clientWidth && box.setAttribute("tabindex", "0"));
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", mend);
mend();
