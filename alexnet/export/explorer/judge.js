// From scores to an answer that may be withheld, as `alexnet predict` gives it.

import { softmax } from "./layers.js";
import { bytesOf, halvesOf } from "./tensors.js";

/** Root mean square distance from the nearest class, in standard deviations within classes. */
function distance(features, means, scale) {
  const D = scale.length;
  let nearest = Infinity;
  for (let at = 0; at < means.length; at += D) {
    let total = 0;
    for (let d = 0; d < D; d++) total += ((features[d] - means[at + d]) / scale[d]) ** 2;
    nearest = Math.min(nearest, total);
  }
  return Math.sqrt(nearest / D);
}

/**
 * Returns judge(outputs): { classes: [{ name, probability }] best first, kind, least, calibrated }, see `showAnswer`.
 *
 * model: a network of the page; outputs: of all its operations.
 */
export function createJudge(model) {
  const { calibration, class_names: names, ops } = model;
  const measured = calibration?.means ? { means: halvesOf(bytesOf(calibration.means)), scale: halvesOf(bytesOf(calibration.scale)) } : null;
  const last = ops.findLastIndex((op) => op.op === "dense" || op.op === "conv");
  return (outputs) => {
    const probabilities = softmax(outputs.at(-1).data, calibration?.temperature ?? 1);
    const classes = names.map((name, i) => ({ name, probability: probabilities[i] }));
    classes.sort((a, b) => b.probability - a.probability);
    const least = calibration?.least ?? null;
    let kind = "class";
    if (least !== null && classes[0].probability < least) kind = "unsure";
    if (measured && last > 0) {
      if (distance(outputs[last - 1].data, measured.means, measured.scale) > calibration.limit) kind = "none";
    }
    return { classes, kind, least, calibrated: calibration?.n ?? null };
  };
}
