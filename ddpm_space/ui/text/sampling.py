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
    "sampling.variance.analytic": ("对这个网络最优 $\\sigma_t^{*2}$", "the best for this network, $\\sigma_t^{*2}$"),
    "sampling.spacing": ("步的间隔方式", "Spacing of the steps"),
    "sampling.spacing.trailing": ("trailing：从末尾数", "trailing: from the end"),
    "sampling.spacing.linspace": ("linspace：首尾都取", "linspace: both ends"),
    "sampling.spacing.leading": ("leading：从 0 数", "leading: from 0"),
    "sampling.spacing.quadratic": ("quadratic：t 小处密", "quadratic: denser at small t"),
    "sampling.spacing.optimal": ("optimal：变分下界最优", "optimal: for the best bound"),
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
        "Done in {seconds} s. Images: {images}; steps: {total}. Click an image to open up one of its steps below.",
    ),
    "film.stopped": (
        "已停在第 {step} / {total} 步（{seconds} 秒）。已经走过的步都可以回看；这些图还没有去噪完。",
        "Stopped at step {step} of {total} ({seconds} s). The steps taken so far can be looked at; these images are not finished.",
    ),
    "film.limit": (
        "一次最多运行 {limit} 秒，到时就停下，让给后面的人。",
        "A run may take {limit} s; then it ends, so that others get their turn.",
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
    "clipping.title": ("采样均值的两种写法，差在哪里？", "Two ways to write the mean of a step: where do they differ?"),
    "clipping.lead": (
        "公式 (11) 直接从 $\\boldsymbol\\varepsilon_\\theta$ 写出均值；另一种写法先求 $\\hat{\\mathbf x}_0$，再代入后验。"
        "不截断时两者是同一个公式；把 $\\hat{\\mathbf x}_0$ 截断到 [−1, 1] 之后就不同了："
        "这里让三条链从同一个 $\\mathbf x_T$ 出发，用同一份噪声，逐步量出它们差多少。",
        "Eq. (11) writes the mean straight from $\\boldsymbol\\varepsilon_\\theta$; the other way finds $\\hat{\\mathbf x}_0$ first and puts it into "
        "the "
        "posterior. They are one formula until somebody clips $\\hat{\\mathbf x}_0$ to [−1, 1]: here three chains start from one $\\mathbf x_T$, "
        "use one "
        "noise, and their distance is measured at every step.",
    ),
    "clipping.images": ("图片数量", "Number of images"),
    "clipping.steps": ("步数", "Steps"),
    "clipping.steps.50": ("50 步", "50"),
    "clipping.steps.100": ("100 步", "100"),
    "clipping.steps.250": ("250 步", "250"),
    "clipping.variance": ("每一步的方差 $\\sigma_t^2$", "Variance of each step $\\sigma_t^2$"),
    "clipping.variance.fixed_small": ("后验方差 $\\tilde\\beta_t$", "the posterior's $\\tilde\\beta_t$"),
    "clipping.variance.fixed_large": ("单步方差 $\\beta_t$", "the single step's $\\beta_t$"),
    "clipping.seed": ("随机种子", "Seed"),
    "clipping.run": ("三条链一起走", "Run the three chains"),
    "clipping.empty": (
        "还没有开始。点“三条链一起走”，这里会出现三种做法的图，以及每个 t 处的差。",
        "Nothing has run yet. Run the three chains: their pictures appear here, with their distance at each t.",
    ),
    "clipping.running": ("第 {step} / {total} 步，t = {t}", "Step {step} of {total}, t = {t}"),
    "clipping.finished": ("走完了，共 {total} 步。", "Done in {total} steps."),
    "clipping.stopped": ("停在第 {step} / {total} 步（t = {t}）。", "Stopped at step {step} of {total}, t = {t}."),
    "clipping.eq11": ("公式 (11)", "eq. (11)"),
    "clipping.posterior": ("先求 $\\hat{\\mathbf x}_0$ 再后验，不截断", "$\\hat{\\mathbf x}_0$, then posterior, not clipped"),
    "clipping.clipped": ("先求 $\\hat{\\mathbf x}_0$ 再后验，截断", "$\\hat{\\mathbf x}_0$, then posterior, clipped"),
    "clipping.difference": (
        "第一张图：截断减公式 (11)；灰色为 0，黑白为 ∓{range}",
        "first image: clipped minus eq. (11); gray is 0, black and white are ∓{range}",
    ),
    "clipping.same_end": (
        "不截断时两种写法是同一个公式：走完全程最多只差 {rounding}，是舍入误差（公式按 float64 算，网络是 float32）。",
        "Without clipping the two are one formula: after the whole chain they differ by at most {rounding}, which is rounding (formulas in "
        "float64, network in float32).",
    ),
    "clipping.same_so_far": (
        "不截断时两种写法是同一个公式：到这里最多只差 {rounding}（舍入误差）。",
        "Without clipping the two are one formula: so far they differ by at most {rounding}, which is rounding.",
    ),
    "clipping.apart_end": (
        "截断以后，结果与公式 (11) 最多差 {largest}，均方根差 {rms}（像素的范围是 −1 到 1）。",
        "With clipping the result differs from eq. (11) by up to {largest}, {rms} in root mean square (pixels range from −1 to 1).",
    ),
    "clipping.apart_so_far": (
        "截断以后，到这里与公式 (11) 最多差 {largest}，均方根差 {rms}（像素的范围是 −1 到 1）。",
        "With clipping the chain so far differs from eq. (11) by up to {largest}, {rms} in root mean square (pixels range from −1 to 1).",
    ),
    "clipping.axis": ("差的绝对值", "absolute difference"),
    "clipping.chart_apart": ("两条链在每个 t 处相距多远", "How far two chains are apart at each t"),
    "clipping.chart_step": ("单看一步：截断给均值加了多少", "One step alone: what clipping adds to the mean"),
    "clipping.line_max": ("截断与公式 (11)，最大", "clipped and eq. (11), largest"),
    "clipping.line_rms": ("截断与公式 (11)，均方根", "clipped and eq. (11), root mean square"),
    "clipping.line_rounding": ("不截断与公式 (11)，最大", "not clipped and eq. (11), largest"),
    "clipping.residual": (
        "第二张图由公式 N8.clipping_difference 算出；与“两个均值相减”这条路最多差 {error}（float64 舍入）。",
        "The second chart comes from the formula N8.clipping_difference; the other route, one mean minus the other, gives the same within "
        "{error} "
        "(float64 rounding).",
    ),
    "step_counts.title": ("少走几步，图会差多少？", "How much worse is a picture in fewer steps?"),
    "step_counts.lead": (
        "同一个种子分别走 10、50、250、1000 步：各行从同一个 $\\mathbf x_T$ 出发，并共用同一份噪声：长的一步所用的噪声，正是它跨过的那些小步的噪声"
        "按后验公式合成的。这样，各行之间只差一件事：模型被问了多少次。",
        "One seed in 10, 50, 250 and 1000 steps: all rows start from one $\\mathbf x_T$ and share one noise: what a long step adds is put "
        "together, by the "
        "posterior's own weights, from the noises of the small steps it leaps over. The rows then differ in one thing alone: how often the model "
        "is asked.",
    ),
    "step_counts.rows": ("算哪几行", "Which rows"),
    "step_counts.s10": ("10 步", "10 steps"),
    "step_counts.s50": ("50 步", "50 steps"),
    "step_counts.s250": ("250 步", "250 steps"),
    "step_counts.s1000": ("1000 步（最慢）", "1000 steps (slowest)"),
    "step_counts.shared": ("各行共用什么", "What the rows share"),
    "step_counts.shared.path": ("整份噪声", "the whole noise"),
    "step_counts.shared.start": ("只有 $\\mathbf x_T$", "$\\mathbf x_T$ alone"),
    "step_counts.images": ("图片数量", "Number of images"),
    "step_counts.clip": ("把 $\\hat{\\mathbf x}_0$ 截断到 [−1, 1]", "Clip $\\hat{\\mathbf x}_0$ to [−1, 1]"),
    "step_counts.seed": ("随机种子", "Seed"),
    "step_counts.run": ("逐行计算", "Compute the rows"),
    "step_counts.empty": (
        "还没有开始。选好步数，点“逐行计算”，每算完一行就显示一行。",
        "Nothing has run yet. Choose the rows and compute them: each appears when it is finished.",
    ),
    "step_counts.running": ("正在算 {steps} 步的一行：第 {step} 步。", "Computing the row of {steps} steps: step {step}."),
    "step_counts.between": ("已算完：{rows} 步。", "Finished rows: {rows} steps."),
    "step_counts.finished": ("全部算完：{rows} 步。", "All rows are there: {rows} steps."),
    "step_counts.stopped": ("已停止；算完的行：{rows}。", "Stopped; finished rows: {rows}."),
    "step_counts.about_path": (
        "共用整份噪声：若 $\\hat{\\mathbf x}_0$ 在一大步之内不变，大步与小步到达的是同一点（后验逐步复合，恰好等于一步的后验），"
        "所以各行的差全部来自 $\\hat{\\mathbf x}_0$ 更新得不够勤。方差取后验方差 $\\tilde\\beta_t$：只有它能这样复合。",
        "The whole noise is shared: were $\\hat{\\mathbf x}_0$ to stand still during a long step, long and small steps would arrive at the same "
        "point "
        "(posteriors composed step by step are exactly the posterior of the one step), so all difference between the rows comes from renewing "
        "$\\hat{\\mathbf x}_0$ less often. The variance is the posterior's, $\\tilde\\beta_t$: no other composes like this.",
    ),
    "step_counts.about_start": (
        "只共用 $\\mathbf x_T$：每一行每一步的噪声各抽各的，所以行与行之间的差里，噪声不同占了一大部分，不能当作步数的影响。",
        "Only $\\mathbf x_T$ is shared: each row draws its own noise, so much of the difference between rows is that of the noise and not of the "
        "number of "
        "steps.",
    ),
    "step_counts.left_out": (
        "{counts} 步没有算：这个模型的扩散链总共只有 {T} 步。",
        "Not computed: {counts} steps. This model's chain has only {T} steps.",
    ),
    "step_counts.steps": ("{steps} 步", "{steps} steps"),
    "step_counts.cost": ("网络调用 {calls} 次，{seconds} 秒", "{calls} network calls, {seconds} s"),
    "step_counts.finest": ("目前最细的一行，其余各行与它相比", "the finest row so far, which the others are compared with"),
    "step_counts.apart": (
        "与 {finest} 步相比：均方根差 {rms}，最大 {largest}",
        "against {finest} steps: root mean square {rms}, largest {largest}",
    ),
    "step_counts.guess": ("此刻的 $\\hat{\\mathbf x}_0$，t = {t}", "$\\hat{\\mathbf x}_0$ at this moment, t = {t}"),
    "step_counts.picture": ("{steps} 步的结果", "the result of {steps} steps"),
    "error.steps.none": (
        "没有可算的行：请至少选一个不超过 {highest} 的步数，{highest} 是这个模型的 T。",
        "No row to compute: choose at least one number of steps up to {highest}, which is this model's T.",
    ),
    "samplers.title": ("换一种采样方法，少走几步行不行？", "Does another sampler do with fewer steps?"),
    "samplers.lead": (
        "同一个网络、同一份噪声、同样的步数，换几种走法：笔记里的 DDPM 祖先采样，每一步都加一份新噪声；diffusers 自带的 DDIM 和 DPM-Solver++ "
        "一路不加噪声，沿着一条常微分方程的轨迹走；SDE-DPM-Solver++ 也加噪声，它的一阶步就是方差取 $\\tilde\\beta_t$ 的祖先采样，二阶步再用上一步的 "
        "$\\hat{\\mathbf x}_0$ 修正。diffusers 的这三种都没有变分下界。",
        "One network, one noise and as many steps, walked in several ways: the notes' ancestral DDPM adds fresh noise in every step; diffusers' own "
        "DDIM and DPM-Solver++ add none and follow the path of an ordinary differential equation; SDE-DPM-Solver++ adds noise too: its first-order "
        "step is the ancestral one with variance $\\tilde\\beta_t$, which the second order corrects by the $\\hat{\\mathbf x}_0$ of the step "
        "before. Those three of diffusers have no variational bound.",
    ),
    "samplers.rows": ("算哪几行", "Which rows"),
    "samplers.ddpm": ("DDPM，方差 $\\tilde\\beta_t$", "DDPM, variance $\\tilde\\beta_t$"),
    "samplers.analytic": ("DDPM，最优方差 $\\sigma_t^{*2}$", "DDPM, the best variance $\\sigma_t^{*2}$"),
    "samplers.sde": ("SDE-DPM-Solver++（diffusers）", "SDE-DPM-Solver++ (diffusers)"),
    "samplers.ddim": ("DDIM（diffusers）", "DDIM (diffusers)"),
    "samplers.dpm": ("DPM-Solver++（diffusers）", "DPM-Solver++ (diffusers)"),
    "samplers.whole": ("DDPM 走满全部 T 步（最慢）", "DDPM over all T steps (slowest)"),
    "samplers.steps": ("步数", "Steps"),
    "samplers.steps.5": ("5 步", "5 steps"),
    "samplers.steps.10": ("10 步", "10 steps"),
    "samplers.steps.20": ("20 步", "20 steps"),
    "samplers.steps.50": ("50 步", "50 steps"),
    "samplers.images": ("图片数量", "Number of images"),
    "samplers.seed": ("随机种子", "Seed"),
    "samplers.run": ("逐个采样", "Run the samplers"),
    "samplers.empty": (
        "还没有开始。选好采样方法和步数，点“逐个采样”，每算完一种就显示一行。",
        "Nothing has run yet. Choose samplers and steps and run them: each row appears when it is finished.",
    ),
    "samplers.running": ("已算完 {count} 行，下一行走到第 {step} / {steps} 步。", "Finished rows: {count}. The next is at step {step} of {steps}."),
    "samplers.between": ("已算完 {count} 行。", "Finished rows: {count}."),
    "samplers.finished": ("全部算完，共 {count} 行。", "All rows are there: {count}."),
    "samplers.stopped": ("已停止；算完 {count} 行。", "Stopped; finished rows: {count}."),
    "samplers.about": (
        "各行从同一个 $\\mathbf x_T$ 出发。DDPM 和 DDIM 每一步都把 $\\hat{\\mathbf x}_0$ 截断到 [−1, 1]，两种 DPM-Solver++ 不截断。"
        "DDIM 和 DPM-Solver++ 逼近同一条轨迹，步数够多时，除截断带来的差别外会得到同样的图。加噪声的几行共用一份噪声，"
        "长步的噪声由它跨过的各个小步合成：步数越多，方差取 $\\tilde\\beta_t$ 的 DDPM 和 SDE-DPM-Solver++ 就越像 DDPM 走满全部 T 步的那一行。"
        "那一行的图与 DDIM、DPM-Solver++ 的不同：要比的是像不像真图，而不是逐个像素。",
        "All rows begin from one $\\mathbf x_T$. DDPM and DDIM clip $\\hat{\\mathbf x}_0$ to [−1, 1] in every step, the two DPM-Solver++ do not. "
        "DDIM and DPM-Solver++ approximate the same path; with enough steps their pictures agree but for that clipping. The rows that add noise "
        "share it, a long step's put together from those of the small steps that it spans: with more steps DDPM with variance "
        "$\\tilde\\beta_t$ and SDE-DPM-Solver++ come to look like DDPM's row over all T steps. Its pictures are not those of DDIM and "
        "DPM-Solver++: compare how real they look, not pixel by pixel.",
    ),
    "samplers.left_out.analytic": (
        "“最优方差”一行没有算：它要用对这个模型估计好的一张表（training/posterior_variance.py），而这个模型没有。",
        "The row of the best variance was not computed: it needs a table estimated for this model (by training/posterior_variance.py), "
        "and this model has none.",
    ),
    "samplers.left_out.ddim": (
        "DDIM 一行没有算：这个模型的链有 {T} 步，而 diffusers 的 DDIM 只能走能整除 {T} 的步数，否则图里会留下噪声。",
        "The row of DDIM was not computed: this model's chain has {T} steps, and diffusers' DDIM leaves noise in the picture unless the number of "
        "steps divides {T}.",
    ),
    "samplers.title_of_row": ("{name}，{steps} 步", "{name}, {steps} steps"),
    "samplers.what.ddpm": ("祖先采样，方差取后验方差", "ancestral sampling with the posterior's variance"),
    "samplers.what.analytic": ("祖先采样，方差取 Analytic-DPM 的估计", "ancestral sampling with Analytic-DPM's variance"),
    "samplers.what.sde": ("随机，多步法，二阶", "adds noise, multistep, of second order"),
    "samplers.what.ddim": ("确定性，一阶", "deterministic, of first order"),
    "samplers.what.dpm": ("确定性，多步法，二阶", "deterministic, multistep, of second order"),
    "samplers.cost": ("网络调用 {calls} 次，{seconds} 秒", "{calls} network calls, {seconds} s"),
    "samplers.picture": ("{name} 走 {steps} 步的结果", "what {name} made in {steps} steps"),
    "error.samplers.none": ("没有可算的行：请至少选一种采样方法。", "No row to compute: choose at least one sampler."),
}
