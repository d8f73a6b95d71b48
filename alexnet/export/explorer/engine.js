// All of the engine, for the worker and for tests.

import { bytesOf as readBytes, tensorOf as readTensor } from "./tensors.js";
import { createNetwork as build } from "./network.js";
import { softmax as normalise } from "./layers.js";

export const bytesOf = readBytes;
export const tensorOf = readTensor;
export const createNetwork = build;
export const softmax = normalise;
