// Light or dark: the system's choice until somebody makes his own, which is remembered.
const system = matchMedia("(prefers-color-scheme: dark)");

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
};

export function theme() {
  const button = document.getElementById("theme");
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const chosen = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("ajrd-theme", chosen);
    } catch {
      // Then it lasts as long as the page.
    }
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}
