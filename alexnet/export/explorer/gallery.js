// Pictures of the data set that came with the page.

function load(src) {
  const image = new Image();
  image.src = src;
  return image.decode().then(() => image);
}

/**
 * What excites channels and units.
 *
 * contents: of each network `data` of its description, or null: { looked_at, gallery: { src, px, n, units }, patches }.
 * Returns { ready: Promise, best(which, level, channel, kind) } whose answer, or null, is { n, px, of, size,
 * paint(context, k) }.
 */
export function createGallery(contents) {
  const pictures = new Map();
  const sources = contents.flatMap((data) =>
    data ? [data.gallery.src, ...Object.values(data.patches).map((sheet) => sheet.src)] : [],
  );
  const ready = Promise.all(sources.map(async (src) => pictures.set(src, await load(src))));

  function best(which, level, channel, kind) {
    const data = contents[which];
    if (!data) return null;
    if (kind === "maps") {
      const sheet = data.patches[level];
      if (!sheet || !pictures.has(sheet.src)) return null;
      const paint = (context, k) => {
        context.drawImage(pictures.get(sheet.src), k * sheet.px, channel * sheet.px, sheet.px, sheet.px, 0, 0, sheet.px, sheet.px);
      };
      return { n: sheet.n, px: sheet.px, of: data.looked_at, size: sheet.field.join("×"), paint };
    }
    const chosen = data.gallery.units[level]?.[channel];
    if (!chosen || !pictures.has(data.gallery.src)) return null;
    const { px } = data.gallery;
    const paint = (context, k) => {
      context.drawImage(pictures.get(data.gallery.src), chosen[k] * px, 0, px, px, 0, 0, px, px);
    };
    return { n: chosen.length, px, of: data.gallery.n, size: "", paint };
  }

  return { ready, best };
}
