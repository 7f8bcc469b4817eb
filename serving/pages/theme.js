// Before the first paint: the colours that a visitor chose.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* a browser may forbid storage: then the system's colours stay */ }
