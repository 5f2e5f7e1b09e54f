  for (const slider of document.querySelectorAll("input[type=range]")) {
    const pair = slider.parentElement.previousElementSibling;
    slider.addEventListener("input", () => pair.style.setProperty("--at", slider.value + "%"));
  }
