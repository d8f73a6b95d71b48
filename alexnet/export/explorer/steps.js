// What each step of the tour shows of a net.

import { layerOf } from "./arithmetic.js";

const byId = (id) => document.getElementById(id);

/**
 * Step n (1..8) of the tour of `model`: { target: element, values, key }; see `createTour`.
 *
 * card(i): the element of level i.
 */
export function tourStep(n, model, { words, card }) {
  const { levels, ops } = model;
  const maps = levels.filter((level) => level.kind === "maps");
  const units = levels.filter((level) => level.kind === "units");
  const cardOf = (level) => (level ? card(levels.indexOf(level)) : byId("net"));
  const pooled = levels.find((level) => level.steps.some((op) => op.op.endsWith("_pool")));
  const activation = ops.find((op) => op.op === "activation");
  const dropout = ops.find((op) => op.op === "dropout");
  const [first, deep] = [maps[0], maps.at(-1)];
  const layer = (level) => ops[layerOf(ops, level)];
  const { image_px: px, in_channels: channels } = model.preprocessing;
  switch (n) {
    case 1:
      return { target: byId("input"), values: { px, numbers: (px * px * channels).toLocaleString(words.language) } };
    case 2:
      if (!first) return { target: cardOf(levels[0]), key: "tour.no_maps" };
      return { target: cardOf(first), values: { level: first.name, maps: layer(first).out, size: layer(first).kernel.join("×") } };
    case 3:
      if (!activation) return { target: cardOf(levels[0]), key: "tour.no_activation" };
      return {
        target: cardOf(levels[0]),
        values: { activation: words.t(`op.${activation.kind}`) },
        key: activation.kind === "relu" ? undefined : "tour.text_3_other",
      };
    case 4:
      return { target: cardOf(pooled ?? levels[0]), key: pooled ? undefined : "tour.no_pool" };
    case 5:
      if (maps.length < 2) return { target: cardOf(deep ?? levels[0]), key: "tour.no_depth" };
      return { target: cardOf(deep), values: { level: deep.name, maps: layer(deep).out } };
    case 6: {
      const names = new Intl.ListFormat(words.language).format(units.map((level) => level.name));
      return { target: cardOf(units[0]), values: { names } };
    }
    case 7:
      if (!dropout) return { target: cardOf(units[0]), key: "tour.no_dropout" };
      return { target: byId("dropout"), values: { percent: Math.round(100 * dropout.p) } };
    default:
      return { target: byId("answer"), key: model.calibration ? undefined : "tour.text_8_plain" };
  }
}
