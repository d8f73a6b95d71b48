// Live frames from a camera.

import { Problem } from "./words.js";

const KEYS = {
  NotAllowedError: "problem.camera_denied",
  SecurityError: "problem.camera_denied",
  NotFoundError: "problem.camera_none",
  OverconstrainedError: "problem.camera_none",
  NotReadableError: "problem.camera_busy",
  AbortError: "problem.camera_busy",
};

/**
 * A camera whose frames go to `onFrame(video)`, a new one when the last one's promise has been kept.
 *
 * video: a <video> element, muted and playsinline.
 * onProblem(problem): why it does not run, or no longer.
 */
export function createCamera({ video, onFrame, onProblem }) {
  let stream = null;
  let turn = 0;

  function stop() {
    turn += 1;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
  }

  async function start() {
    stop();
    const mine = turn;
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new Problem("problem.camera_none");
      const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
      if (mine !== turn) {
        for (const track of opened.getTracks()) track.stop();
        return false;
      }
      stream = opened;
      stream.getVideoTracks()[0].addEventListener("ended", () => {
        if (mine !== turn) return;
        stop();
        onProblem(new Problem("problem.camera_ended"));
      });
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      if (mine === turn) {
        stop();
        onProblem(error instanceof Problem ? error : new Problem(KEYS[error?.name] ?? "problem.camera_busy"));
      }
      return false;
    }
    run(mine);
    return true;
  }

  async function run(mine) {
    while (mine === turn) {
      if (video.videoWidth > 0) {
        try {
          await onFrame(video);
        } catch (error) {
          if (mine === turn) {
            stop();
            onProblem(error);
          }
          return;
        }
      }
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  }

  return {
    start,
    stop,
    get running() { return stream !== null; },
  };
}
