// Ways for a scan to come in: drop, choose, sample.

import { getFile, getJson } from "./api.js";
import { $, show } from "./dom.js";
import { chosen, dropped } from "./scans.js";

const SEVERAL = /\.(tiff|nii\.gz)$/; // slices: no browser draws them by itself

function picture({ file }) {
  if (!SEVERAL.test(file)) return Object.assign(new Image(64, 64), { src: `/samples/${file}`, alt: "" });
  const pile = Object.assign(document.createElement("span"), { className: "pile" });
  pile.append(...[1, 2, 3].map(() => document.createElement("i")));
  return pile;
}

function card(sample, choose) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "sample" });
  button.classList.toggle("stacked", SEVERAL.test(sample.file));
  const words = document.createElement("span");
  words.append(Object.assign(document.createElement("strong"), { textContent: sample.title }));
  words.append(Object.assign(document.createElement("span"), { textContent: sample.note }));
  button.append(picture(sample), words);
  button.addEventListener("click", () => choose(sample));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function showSamples(onFiles, onError) {
  const samples = await getJson("/samples/").catch(() => []);
  const choose = ({ file }) => getFile(`/samples/${file}`).then((blob) => onFiles(chosen([new File([blob], file)])), onError);
  $("samples").replaceChildren(...samples.map((sample) => card(sample, choose)));
  show($("samples-box"), samples.length > 0);
}

// `onFiles(files)` gets whatever comes in, as sortOut() takes it.
export function openIntake(onFiles, onError) {
  const drop = $("drop");
  for (const id of ["file", "folder"]) {
    $(id).addEventListener("change", (event) => {
      const files = chosen(event.target.files);
      event.target.value = ""; // so that the same file can be chosen again
      if (files.length) onFiles(files);
    });
  }
  // The whole page takes a drop: a scan let go beside the box must not replace the page.
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    dropped(event.dataTransfer).then((files) => files.length && onFiles(files), onError);
  });
  showSamples(onFiles, onError);
}
