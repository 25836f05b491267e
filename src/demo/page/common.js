// What the page's scripts share.

export const find = (id) => document.getElementById(id);

export function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

// `cache;desc=hit, limiter;dur=0.1, mint;dur=12` as an object.
export function timings(header) {
  const found = {};
  for (const part of (header || "").split(",")) {
    const [name, ...details] = part.trim().split(";");
    for (const detail of details) {
      const [key, value] = detail.trim().split("=");
      if (key === "dur") found[name] = Number(value);
      if (key === "desc") found[name] = value.replaceAll('"', "");
    }
  }
  return found;
}

export const titleOf = ({ vendor, name }) => `${vendor}: ${name}`;
