// Light or dark: as the system has it until the visitor chooses.

const REMEMBERED = "alexnet.theme";

/** Let `button` switch between light and dark. */
export function attachTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  try {
    const chosen = localStorage.getItem(REMEMBERED);
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch {
    // storage is switched off: the system decides
  }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(REMEMBERED, root.dataset.theme);
    } catch {
      // chosen for this visit
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}
