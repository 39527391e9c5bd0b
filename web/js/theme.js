// Light or dark: the system's choice until the person makes one. A classic script, run before the
// page is drawn, so that nothing flashes.
(() => {
  const KEY = "continuo.theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => localStorage.getItem(KEY);

  const apply = () => {
    document.documentElement.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  apply();

  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("#theme-toggle")) return;
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    // What the system wants anyway is not kept, so that the page follows it again.
    if ((next === "dark") === system.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
    apply();
  });
})();
