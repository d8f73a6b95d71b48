// Words in the visitor's language, from one table per language.

const REMEMBERED = "alexnet.language";

/** What went wrong and what to do, as a key of the tables; `values` fill its {places}. */
export class Problem extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage may be switched off, also for files
  }
}

/** The language of `known` that the visitor chose before, or that the browser asks for first. */
export function preferredLanguage(known) {
  const chosen = remembered();
  if (known.includes(chosen)) return chosen;
  for (const asked of navigator.languages ?? [navigator.language ?? ""]) {
    const found = known.find((code) => code.split("-")[0] === asked.split("-")[0]);
    if (found) return found;
  }
  return known[0];
}

/**
 * Words of a page.
 *
 * An element's attributes name the words it shows: data-word its text, data-word-label its aria-label,
 * data-word-title its title, data-word-placeholder its placeholder.
 */
export function createWords(tables) {
  const known = Object.keys(tables);
  const listeners = [];
  let language = preferredLanguage(known);

  function t(key, values = {}) {
    const text = tables[language][key] ?? tables[known[0]][key] ?? key;
    return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
  }

  function has(key) {
    return key in tables[language];
  }

  function apply(root = document) {
    document.documentElement.lang = language;
    for (const element of root.querySelectorAll("[data-word]")) element.textContent = t(element.dataset.word);
    for (const [name, attribute] of [["wordLabel", "aria-label"], ["wordTitle", "title"], ["wordPlaceholder", "placeholder"]]) {
      const selector = `[data-${name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase())}]`;
      for (const element of root.querySelectorAll(selector)) element.setAttribute(attribute, t(element.dataset[name]));
    }
  }

  function setLanguage(code) {
    if (!known.includes(code)) throw new RangeError(`no language ${code}: ${known.join(", ")}`);
    language = code;
    try {
      localStorage.setItem(REMEMBERED, code);
    } catch {
      // it is asked for again next time
    }
    apply();
    for (const listener of listeners) listener(code);
  }

  /** A problem of ours in words; any other error with its own message. */
  function explain(error) {
    if (error instanceof Problem) return t(error.key, error.values);
    return t("problem.other", { reason: error?.message ?? String(error) });
  }

  return {
    t, has, apply, setLanguage, explain,
    get language() { return language; },
    get languages() { return known; },
    onChange(listener) { listeners.push(listener); },
    /** A share in 0..1 as per cent; what is not quite nothing or all does not read as such. */
    percent(share) {
      if (share > 0 && share < 0.001) return "<0.1%";
      if (share < 1 && share > 0.999) return ">99.9%";
      return `${(100 * share).toFixed(1)}%`;
    },
  };
}
