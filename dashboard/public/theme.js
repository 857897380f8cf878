// Before the first paint: the theme that was chosen on this device, or the system's (shell/theme.ts).
(() => {
  const chosen = localStorage.getItem("supalove.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
