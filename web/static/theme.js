// The theme, before anything is drawn: dark, or light by choice.

{
  const NAME = "brainseg-theme";
  const root = document.documentElement;
  root.dataset.theme = localStorage.getItem(NAME) === "light" ? "light" : "dark";

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return; // a page that follows the choice
    const mark = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "light"));
    button.addEventListener("click", () => {
      root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
      localStorage.setItem(NAME, root.dataset.theme);
      mark();
    });
    mark();
  });
}
