// Runs before anything is drawn: the theme that was chosen here before, else that of the system.
(() => {
  const root = document.documentElement;
  try {
    const chosen = localStorage.getItem("ajrd-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
