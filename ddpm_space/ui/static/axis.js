// Scales and ticks of a chart's axis: from values to places on the screen.

export function axis({ min, max, log = false }, from, to) {
  const place = log ? Math.log10 : (value) => value;
  const [low, high] = [place(min), place(max)];
  const scale = (value) => from + ((place(log ? Math.max(value, min) : value) - low) / (high - low || 1)) * (to - from);
  const invert = (position) => {
    const value = low + ((position - from) / (to - from)) * (high - low);
    return log ? 10 ** value : value;
  };
  return { scale, invert, ticks: (wanted) => (log ? decades(low, high, wanted) : round(min, max, wanted)) };
}

function round(min, max, wanted) {
  const rough = (max - min) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const stepSize = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const ticks = [];
  for (let index = Math.ceil(min / stepSize - 1e-9); index * stepSize <= max + stepSize * 1e-9; index += 1) ticks.push(index * stepSize);
  return ticks;
}

function decades(low, high, wanted) {
  const stride = Math.max(1, Math.ceil((high - low) / Math.max(1, wanted)));
  const ticks = [];
  for (let power = Math.ceil(low - 1e-9); power <= high + 1e-9; power += stride) ticks.push(10 ** power);
  return ticks;
}

export function extent(values, { positive = false } = {}) {
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (positive && value <= 0)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return min <= max ? [min, max] : [positive ? 0.1 : 0, 1];
}
