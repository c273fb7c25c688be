// Airflow keeps the reader's choice of a theme in this browser; without one the system's holds.
(() => {
  const apply = () => {
    let theme = null;
    try {
      theme = window.localStorage.getItem("theme");
    } catch {
      // A browser that keeps nothing: the system's theme holds.
    }
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  window.addEventListener("storage", apply);
})();
