"""Words of the sampling tab: (Chinese, English)."""

SAMPLING = {
    "sampling.title": ("纯噪声怎么变成一张图？", "How does pure noise become a picture?"),
    "sampling.lead": (
        "模型在每一步看着 $\\mathbf x_t$ 猜原图，得到 $\\hat{\\mathbf x}_0$；再按后验公式朝它挪一小步。左边是真正在走的链，右边是模型此刻的猜测。",
        "At each step the model looks at $\\mathbf x_t$ and guesses the clean picture, $\\hat{\\mathbf x}_0$; the posterior then "
        "moves a little way towards it. "
        "Left is the chain itself, right is what the model guesses at that moment.",
    ),
    "sampling.images": ("图片数量", "Number of images"),
    "sampling.steps": ("步数", "Steps"),
    "sampling.steps_info": ("走满全部 T 步最忠实，也最慢。", "All T of them are the most faithful, and the slowest."),
    "sampling.variance": ("每一步的方差 $\\sigma_t^2$", "Variance of each step $\\sigma_t^2$"),
    "sampling.variance.fixed_small": ("后验方差 $\\tilde\\beta_t$（较小）", "the posterior's $\\tilde\\beta_t$ (small)"),
    "sampling.variance.fixed_large": ("单步方差 $\\beta_t$（较大）", "the single step's $\\beta_t$ (large)"),
    "sampling.spacing": ("步的间隔方式", "Spacing of the steps"),
    "sampling.spacing.trailing": ("trailing：从末尾数", "trailing: from the end"),
    "sampling.spacing.linspace": ("linspace：首尾都取", "linspace: both ends"),
    "sampling.spacing.leading": ("leading：从 0 数", "leading: from 0"),
    "sampling.clip": (
        "每一步把 $\\hat{\\mathbf x}_0$ 截断到 [−1, 1]",
        "Clip $\\hat{\\mathbf x}_0$ to [−1, 1] in every step",
    ),
    "sampling.seed": ("随机种子", "Seed"),
    "sampling.run": ("生成", "Generate"),
    "sampling.stop": ("停止", "Stop"),
    "sampling.empty": (
        "还没有开始。点“生成”，每一步都会实时显示出来，随时可以停。走完以后可以回看每一步。",
        "Nothing has run yet. Press Generate: each step is shown as it happens, and you can stop at any time. "
        "Afterwards you can go through the steps.",
    ),
    "film.progress": ("采样进度", "Progress of sampling"),
    "film.xt": ("链走到这里的样子", "where the chain is"),
    "film.x0hat": ("模型的预测，不是结果", "the model's prediction, not the result"),
    "film.scrub": ("回看每一步", "Go through the steps"),
    "film.running": ("第 {step} / {total} 步：从 t = {t} 到 {s}", "Step {step} of {total}: from t = {t} to {s}"),
    "film.position": ("第 {step} / {total} 步，t = {t}", "step {step} of {total}, t = {t}"),
    "film.result": ("结果", "result"),
    "film.finished": (
        "完成：{images} 张图，{total} 步，用时 {seconds} 秒。点一张图，在下面拆开它的某一步。",
        "Done: {images} image(s), {total} steps, {seconds} s. Click an image to open up one of its steps below.",
    ),
    "film.stopped": (
        "已停在第 {step} / {total} 步（{seconds} 秒）。已经走过的步都可以回看；这些图还没有去噪完。",
        "Stopped at step {step} of {total} ({seconds} s). The steps taken so far can be looked at; these images are not finished.",
    ),
    "film.limit": (
        "一次最多运行 {limit} 秒，到时就停下，让给后面的人。",
        "A run may take {limit} s; then it ends, as others are waiting.",
    ),
    "film.kept": ("为节省内存，只保留了其中 {kept} 步供回看。", "To save memory, {kept} of them are kept for looking back."),
    "film.few_steps": (
        "只用了 {total} 步（模型是按 {T} 步训练的）：一步跨得太远，高斯近似不再准确，图会变差。",
        "Only {total} steps were used (the model was trained for {T}): each is too long for a Gaussian to describe, and the images suffer.",
    ),
    "downloads.heading": ("带走这次的结果：", "Take it along:"),
    "downloads.png": ("结果 PNG", "Result as PNG"),
    "downloads.gif": ("过程 GIF", "Trajectory as GIF"),
    "downloads.making": ("正在生成文件……", "Making the file…"),
    "downloads.saved": ("已保存 {name}（{kilobytes} kB）。", "Saved {name} ({kilobytes} kB)."),
    "step.title": ("把其中一步拆开，里面是什么？", "What is inside a single reverse step?"),
    "step.lead": (
        "后验均值是 $\\hat{\\mathbf x}_0$ 和 $\\mathbf x_t$ 的加权和：噪声大时几乎原地不动，越接近尾声越听模型的。加上一份噪声，"
        "就得到下一个 $\\mathbf x_s$。",
        "The posterior mean is a weighted sum of $\\hat{\\mathbf x}_0$ and $\\mathbf x_t$: early on it hardly moves, near the end it "
        "follows the model. "
        "A little fresh noise on top gives the next $\\mathbf x_s$.",
    ),
    "step.empty": (
        "先在上面生成一次，然后用滑块选一步、点一张图，这里就会按那一步的真实数字展开。",
        "Generate something above first; then choose a step with the slider and click an image, and that very step is laid out here "
        "with its numbers.",
    ),
    "step.heading": ("第 {image} 张图：从 t = {t} 到 s = {s}", "Image {image}: from t = {t} to s = {s}"),
    "step.heading_last": ("第 {image} 张图：从 t = {t} 到干净的图像（最后一步）", "Image {image}: from t = {t} to the clean image (the last step)"),
    "step.mu": ("下一步的均值", "mean of the next"),
    "step.x0hat": ("预测的原图", "predicted clean image"),
    "step.xt": ("当前", "now"),
    "step.noise": ("新加的噪声", "fresh noise"),
    "step.next": ("下一步", "next"),
    "step.identity": (
        "上面几项相加与采样器给出的 $\\mathbf x_s$ 最多相差 {error}（float32 舍入）：公式重新算了一遍，与采样器互相印证。",
        "These parts add up to the $\\mathbf x_s$ that the sampler returned within {error} (float32 rounding): the formula was evaluated again, "
        "apart from the sampler.",
    ),
    "step.identity_exact": (
        "上面几项相加与采样器给出的 $\\mathbf x_s$ 逐位相同：公式在采样器之外重新算了一遍，与它互相印证。",
        "These parts add up to the $\\mathbf x_s$ that the sampler returned, to the last bit: the formula was evaluated again, apart "
        "from the sampler.",
    ),
    "step.clipped": (
        "$\\hat{\\mathbf x}_0$ 有 {percent}% 的像素正好等于 −1 或 1，也就是被截断过。",
        "{percent}% of the pixels of $\\hat{\\mathbf x}_0$ are exactly −1 or 1, that is, clipped.",
    ),
    "step.no_noise": ("最后一步不再加噪声。", "The last step adds no noise."),
}
