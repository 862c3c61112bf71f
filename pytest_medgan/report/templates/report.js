"use strict";
/* Shows the image of a point of the plane, enlarges images, and opens every detail for printing. */
(() => {
  const planes = JSON.parse(document.getElementById("planes").textContent);
  const TILE = 64;

  function nearest(points, x, y, within) {
    let best = -1, least = within * within;
    points.forEach(([left, top], i) => {
      const gap = (left - x) ** 2 + (top - y) ** 2;
      if (gap < least) { least = gap; best = i; }
    });
    return best;
  }

  /* the nearest point in the direction of the key, within a right angle around it */
  function neighbour(points, from, dx, dy) {
    const [x, y] = points[from];
    let best = -1, least = Infinity;
    points.forEach(([left, top], i) => {
      if (i === from) return;
      const along = (left - x) * dx + (top - y) * dy;
      const across = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
      if (along <= 0 || across > along) return;
      const cost = along + across;
      if (cost < least) { least = cost; best = i; }
    });
    return best;
  }

  function wire(box) {
    const anchor = box.dataset.plane;
    const { points, columns } = planes[anchor];
    const marker = box.querySelector(".marker"), lens = box.querySelector(".lens");
    const canvas = lens.querySelector("canvas"), words = lens.querySelector("p");
    const status = document.querySelector(`[data-status="${anchor}"]`);
    const sprites = [document.getElementById(`${anchor}-sprite-fake`), document.getElementById(`${anchor}-sprite-real`)];
    let current = -1;

    function show(i, announce) {
      current = i;
      marker.hidden = lens.hidden = i < 0;
      if (i < 0) return;
      const [left, top, real, tile, note] = points[i];
      const sprite = sprites[real];
      marker.style.left = `${left}%`;
      marker.style.top = `${top}%`;
      lens.classList.toggle("real", real === 1);
      canvas.hidden = !(sprite && tile >= 0);
      if (!canvas.hidden) {
        const context = canvas.getContext("2d");
        context.clearRect(0, 0, 128, 128);
        context.drawImage(sprite, (tile % columns) * TILE, Math.floor(tile / columns) * TILE, TILE, TILE, 0, 0, 128, 128);
      }
      words.textContent = canvas.hidden ? `${note} (image not kept)` : note;
      const width = box.clientWidth, height = box.clientHeight;
      const x = left / 100 * width, y = top / 100 * height;
      lens.style.left = `${Math.max(0, Math.min(width - lens.offsetWidth, x < width / 2 ? x + 14 : x - lens.offsetWidth - 14))}px`;
      lens.style.top = `${Math.max(0, Math.min(height - lens.offsetHeight, y - lens.offsetHeight / 2))}px`;
      if (announce) status.textContent = note;
    }

    box.addEventListener("pointermove", (event) => {
      const frame = box.getBoundingClientRect();
      const x = (event.clientX - frame.left) / frame.width * 100, y = (event.clientY - frame.top) / frame.height * 100;
      const i = nearest(points, x, y, 5);
      if (i !== current) show(i, false);
    });
    box.addEventListener("pointerleave", () => { if (document.activeElement !== box) show(-1, false); });
    box.addEventListener("focus", () => { if (current < 0) show(nearest(points, 50, 50, 1000), true); });
    box.addEventListener("blur", () => show(-1, false));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Escape") { show(-1, false); return; }
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = current < 0 ? nearest(points, 50, 50, 1000) : neighbour(points, current, ...step);
      if (next >= 0) show(next, true);
    });
  }

  document.querySelectorAll(".plane").forEach(wire);

  const dialog = document.getElementById("enlarged"), large = dialog.querySelector("img");
  for (const button of document.querySelectorAll(".zoom")) {
    button.addEventListener("click", () => {
      const small = button.querySelector("img");
      large.src = small.src;
      large.alt = small.alt;
      large.classList.toggle("wide", small.naturalWidth !== small.naturalHeight);
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => { opened.forEach((details) => { details.open = false; }); });
})();
