"use strict";
(() => {
  const config = JSON.parse(document.getElementById("config").textContent);
  const at = (id) => document.getElementById(id);
  const store = `medgan-turing-${config.page}`;
  const [low, high] = config.window || [0, 255];
  const unit = config.window ? " HU" : "";
  const span = high - low;
  const words = { real: "real", generated: "generated" };

  /* state: what is kept between visits */
  let state = { reader: "", started: null, finished: null, answers: {} };
  let keeps = true;
  try {
    const found = JSON.parse(localStorage.getItem(store) || "null");
    if (found && typeof found.answers === "object") state = found;
  } catch { keeps = false; }

  function keep() {
    try { localStorage.setItem(store, JSON.stringify(state)); } catch { keeps = false; }
  }

  const answered = () => Object.keys(state.answers).length;
  const firstOpen = () => { for (let i = 0; i < config.count; i += 1) if (!state.answers[i]) return i; return config.count; };

  /* the image: windowed by a table, enlarged and moved */
  const canvas = at("view"), context = canvas.getContext("2d");
  const slice = document.createElement("canvas");
  slice.width = config.width;
  slice.height = config.height;
  const sliceContext = slice.getContext("2d", { willReadFrequently: true });
  const view = { centre: (low + high) / 2, width: span, zoom: 1, x: 0, y: 0 };
  let place = 0, shownAt = 0, away = 0, leftAt = 0;

  function draw() {
    const left = (place % config.columns) * config.width, top = Math.floor(place / config.columns) * config.height;
    sliceContext.drawImage(at("slices"), left, top, config.width, config.height, 0, 0, config.width, config.height);
    const image = sliceContext.getImageData(0, 0, config.width, config.height);
    const table = new Uint8ClampedArray(256);
    for (let grey = 0; grey < 256; grey += 1) {
      table[grey] = ((low + span * grey / 255 - view.centre) / view.width + 0.5) * 255;
    }
    for (let i = 0; i < image.data.length; i += 4) {
      image.data[i] = image.data[i + 1] = image.data[i + 2] = table[image.data[i]];
    }
    sliceContext.putImageData(image, 0, 0);
    const side = canvas.width / view.zoom, reach = (canvas.width - side) / 2;
    view.x = Math.max(-reach, Math.min(reach, view.x));
    view.y = Math.max(-reach, Math.min(reach, view.y));
    const scale = canvas.width / Math.max(config.width, config.height) * view.zoom;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    const w = config.width * scale, h = config.height * scale;
    context.drawImage(slice, canvas.width / 2 - w / 2 - view.x * view.zoom, canvas.height / 2 - h / 2 - view.y * view.zoom, w, h);
    at("centre").value = view.centre;
    at("width").value = view.width;
    at("zoom").value = view.zoom;
    at("centre-is").value = `${Math.round(view.centre)}${unit}`;
    at("width-is").value = `${Math.round(view.width)}${unit}`;
    at("zoom-is").value = `${view.zoom}×`;
  }

  function look(change) {
    Object.assign(view, change);
    view.centre = Math.max(low, Math.min(high, view.centre));
    view.width = Math.max(span / 50, Math.min(2 * span, view.width));
    view.zoom = Math.max(1, Math.min(8, view.zoom));
    draw();
  }

  const first = () => look({ centre: (low + high) / 2, width: span, zoom: 1, x: 0, y: 0 });

  /* the test */
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);
  function choose(name, value) {
    document.querySelectorAll(`input[name=${name}]`).forEach((input) => { input.checked = input.value === String(value); });
    at("confirm").disabled = !chosen("answer") || !chosen("confidence");
  }

  function only(section) {
    for (const name of ["start", "test", "end"]) at(name).hidden = name !== section;
  }

  function show(i) {
    if (i >= config.count) {
      if (!state.finished) { state.finished = new Date().toISOString(); keep(); }
      only("end");
      at("end-title").focus();
      return;
    }
    place = i;
    only("test");
    const before = state.answers[i];
    choose("answer", before ? before.answer : "");
    choose("confidence", before ? before.confidence : "");
    at("place").textContent = `Image ${i + 1} of ${config.count}`;
    at("progress").value = answered();
    at("back").disabled = i === 0;
    shownAt = performance.now();
    away = 0;
    look({ zoom: 1, x: 0, y: 0 });
    at("place").focus({ preventScroll: true });
    at("said").textContent = `Image ${i + 1} of ${config.count}`;
  }

  function confirm() {
    const answer = chosen("answer"), confidence = chosen("confidence");
    if (!answer || !confidence) {
      at("said").textContent = answer ? "Say how sure you are, 1 to 5." : "Say whether it is real (R) or generated (G).";
      return;
    }
    const before = state.answers[place];
    const seconds = Math.max(0, performance.now() - shownAt - away) / 1000 + (before ? before.seconds : 0);
    state.answers[place] = { answer: answer.value, confidence: Number(confidence.value), seconds: Math.round(seconds * 100) / 100 };
    keep();
    at("progress").value = answered();
    show(before && answered() < config.count ? Math.min(place + 1, firstOpen()) : place + 1 < config.count && !state.finished ? place + 1 : firstOpen());
  }

  function back() { if (place > 0) show(place - 1); }

  function save() {
    const answers = Object.keys(state.answers).map(Number).sort((a, b) => a - b).map((i) => ({ image: i, ...state.answers[i] }));
    const content = {
      schema: config.schema, schema_version: config.schema_version, page: config.page, count: config.count, check: config.check,
      reader: state.reader, started: state.started, finished: answers.length === config.count ? state.finished : null, answers,
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${JSON.stringify(content, null, 1)}\n`], { type: "application/json" }));
    link.download = `answers-${state.reader.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "") || "reader"}-${config.page.slice(0, 6)}.json`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    at("saved").textContent = `${answers.length} answers saved.`;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leftAt = performance.now();
    else if (leftAt) { away += performance.now() - leftAt; leftAt = 0; }
  });

  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const reader = at("reader").value.trim();
    if (!reader) return;
    state.reader = reader;
    state.started = state.started || new Date().toISOString();
    keep();
    if (document.activeElement) document.activeElement.blur();
    show(firstOpen());
  });
  at("confirm").addEventListener("click", confirm);
  at("back").addEventListener("click", back);
  at("review").addEventListener("click", () => show(config.count - 1));
  at("save").addEventListener("click", save);
  at("save-early").addEventListener("click", save);
  at("reset").addEventListener("click", first);
  at("forget").addEventListener("click", () => {
    if (!window.confirm("Remove the answers from this browser? What you have not saved is lost.")) return;
    try { localStorage.removeItem(store); } catch { /* nothing was kept */ }
    state = { reader: "", started: null, finished: null, answers: {} };
    at("resumed").hidden = true;
    at("saved").textContent = "";
    only("start");
  });
  for (const name of ["answer", "confidence"]) {
    at(name).addEventListener("change", () => { at("confirm").disabled = !chosen("answer") || !chosen("confidence"); });
  }
  for (const name of ["centre", "width", "zoom"]) {
    at(name).addEventListener("input", (event) => look({ [name]: Number(event.target.value) }));
  }

  document.addEventListener("keydown", (event) => {
    if (at("test").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const control = event.target.closest("input[type=range], button, summary");
    const key = event.key;
    if (key === "Enter") { if (control) return; event.preventDefault(); confirm(); return; }
    if (control && control.type === "range" && key.startsWith("Arrow")) return;
    if (event.target.type === "radio" && key.startsWith("Arrow")) return;
    const step = canvas.width / view.zoom / 10;
    const does = {
      r: () => choose("answer", "real"), g: () => choose("answer", "generated"), Backspace: back,
      "+": () => look({ zoom: view.zoom + 0.5 }), "=": () => look({ zoom: view.zoom + 0.5 }), "-": () => look({ zoom: view.zoom - 0.5 }),
      "[": () => look({ centre: view.centre + span / 40 }), "]": () => look({ centre: view.centre - span / 40 }),
      ",": () => look({ width: view.width - span / 20 }), ".": () => look({ width: view.width + span / 20 }), 0: first,
      ArrowLeft: () => look({ x: view.x - step }), ArrowRight: () => look({ x: view.x + step }),
      ArrowUp: () => look({ y: view.y - step }), ArrowDown: () => look({ y: view.y + step }),
    }[key.length === 1 ? key.toLowerCase() : key];
    if (/^[1-5]$/.test(key)) choose("confidence", key);
    else if (does) does();
    else return;
    event.preventDefault();
    if (key.toLowerCase() in { r: 1, g: 1 }) at("said").textContent = words[chosen("answer").value];
  });

  let grip = null;
  canvas.addEventListener("pointerdown", (event) => { grip = [event.clientX, event.clientY, view.x, view.y]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const scale = canvas.width / canvas.clientWidth / view.zoom;
    look({ x: grip[2] - (event.clientX - grip[0]) * scale, y: grip[3] - (event.clientY - grip[1]) * scale });
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { grip = null; });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); look({ zoom: view.zoom + (event.deltaY < 0 ? 0.5 : -0.5) }); }, { passive: false });

  for (const [name, least, most] of [["centre", low, high], ["width", span / 50, 2 * span]]) {
    Object.assign(at(name), { min: least, max: most, step: span / 200 });
  }
  at("reader").value = state.reader;
  if (answered()) {
    at("resumed").hidden = false;
    at("resumed").textContent = `${answered()} of ${config.count} images are answered already. Begin again to go on with the next.`;
    at("begin").textContent = "Go on";
  }
  if (!keeps) {
    at("resumed").hidden = false;
    at("resumed").textContent = "This browser keeps nothing for this page: answer all images in one sitting, and save.";
  }
  at("slices").decode().then(() => draw());
})();
