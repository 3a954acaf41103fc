"""Words of the loss tab: (Chinese, English)."""

LOSS = {
    "loss.title": ("模型到底错在哪里、错多少？", "How wrong is the model, and where?"),
    "loss.lead": (
        "训练只做一件事：给 $\\mathbf x_0$ 加上已知的噪声 $\\boldsymbol\\epsilon$，让网络猜回来。下面在几个 $t$ 上比较真噪声和预测，"
        "再对所有 $t$ 求平均，就是 $L_{\\mathrm{simple}}$。",
        "Training does one thing: it adds a known noise $\\boldsymbol\\epsilon$ to $\\mathbf x_0$ and has the network guess it. "
        "Here true and predicted noise stand side by side at a few $t$; averaged over all $t$, the error is $L_{\\mathrm{simple}}$.",
    ),
    "loss.seed": ("随机种子", "Seed"),
    "loss.stop": ("停止", "Stop"),
    "seen.label": ("模型看到的图", "The picture as the model sees it"),
    "seen.words": ("模型看到的图：{size} × {size}", "as the model sees it: {size} × {size}"),
    "seen.outside": (
        "这张图不属于训练数据（黑底白字的手写数字），误差和比特数会明显偏大。",
        "This is not of the training data (handwritten digits, white on black): expect larger errors and more bits.",
    ),
    "errors.timesteps": ("在哪些 t 上比较（逗号隔开）", "Timesteps, with commas"),
    "errors.run": ("测量误差", "Measure error"),
    "errors.empty": (
        "点“测量误差”：每个 t 抽 16 份噪声，比较真噪声和网络的预测，然后估计 $L_{\\mathrm{simple}}$。",
        "Press Measure error: 16 noises are drawn at each t, true and predicted noise are compared, and $L_{\\mathrm{simple}}$ is estimated.",
    ),
    "errors.running": ("已完成 {done} / {total} 个 t，每个 t 用 {draws} 份噪声", "{done} of {total} timesteps done, {draws} noises at each"),
    "errors.finished": ("完成：{total} 个 t，每个 t 用 {draws} 份噪声", "Done: {total} timesteps, {draws} noises at each"),
    "errors.stopped": ("已停在第 {done} / {total} 个 t", "Stopped at {done} of {total} timesteps"),
    "errors.simple": (
        "$L_{\\mathrm{simple}}$ = {value}（这张图，{draws} 组分层抽取的 t 和噪声）",
        "$L_{\\mathrm{simple}}$ = {value} for this picture ({draws} stratified draws of t and noise)",
    ),
    "errors.chart": ("每个像素的平方误差（± 1 标准误）", "Squared error per pixel (± 1 standard error)"),
    "errors.scale": (
        "噪声的两张图按 ±{range} 显示成黑和白；图中是 {count} 份噪声里的第一份，数字是全部的平均。",
        "The two noise pictures show ±{range} as black and white. They are the first of {count} draws; the number is the mean over all.",
    ),
    "errors.xt": ("输入", "input"),
    "errors.x0hat": ("推出的原图", "clean, implied"),
    "errors.eps": ("真噪声", "true"),
    "errors.eps_theta": ("预测噪声", "predicted"),
    "bound.title": ("这张图值多少比特？", "How many bits is this picture worth?"),
    "bound.lead": (
        "变分下界把 $-\\log p_\\theta(\\mathbf x_0)$ 的上限拆成 T + 1 项：终点离纯噪声有多远、每一步反向有多不准、最后一步解码花多少。"
        "加起来除以像素数，就是 bits/dim；越小越好。",
        "The variational bound splits an upper limit of $-\\log p_\\theta(\\mathbf x_0)$ into T + 1 terms: how far the end is from "
        "pure noise, how wrong each "
        "reverse step is, and what the last decoding costs. Summed and divided by the number of pixels they are bits/dim; smaller is better.",
    ),
    "bound.chain": ("沿哪条链计算", "Along which chain"),
    "bound.chain_info": (
        "少于 T 步是另一条链：它的界是精确定义的，但不是训练链的界",
        "fewer than T steps is another chain with a bound of its own, not an estimate of this one",
    ),
    "chain.50": ("50 步", "50 steps"),
    "chain.100": ("100 步", "100 steps"),
    "chain.250": ("250 步", "250 steps"),
    "chain.all": ("全部 T 步", "all T steps"),
    "bound.draws": ("每一项用几份噪声", "Noises for each term"),
    "bound.variance": ("反向每一步的方差 σₜ²", "Variance of each reverse step σₜ²"),
    "bound.clip": ("先把 x̂₀ 截断到 [−1, 1]", "Clip x̂₀ to [−1, 1] first"),
    "bound.run": ("计算变分下界", "Compute bound"),
    "bound.empty": (
        "点“计算变分下界”：上面选好的那张图，T + 1 项从最吵的一步开始逐项到达，总和随之累计。",
        "Press Compute bound: for the picture chosen above, the T + 1 terms arrive one by one from the noisiest step down, and "
        "the sum grows with them.",
    ),
    "bound.progress": ("变分下界的进度", "Progress of the bound"),
    "bound.running": ("已到 {done} / {total} 项", "{done} of {total} terms"),
    "bound.finished": ("完成：{total} 项全部算完", "Done: all {total} terms"),
    "bound.stopped": ("已停在第 {done} / {total} 项，总和不完整", "Stopped at {done} of {total} terms: the sum is incomplete"),
    "bound.total": ("合计 {value} bits/dim", "Total: {value} bits/dim"),
    "bound.so_far": ("目前累计 {value} bits/dim", "So far: {value} bits/dim"),
    "bound.part.L_T": ("$L_T$：终点与纯噪声之差", "$L_T$: the end against pure noise"),
    "bound.part.L_t-1": ("所有 $L_{t-1}$ 之和：反向每一步的误差", "all $L_{t-1}$: the errors of the reverse steps"),
    "bound.part.L_0": ("$L_0$：最后一步的解码", "$L_0$: the last decoding"),
    "bound.chart_terms": ("每一步的 $L_{t-1}$，最左端是 $L_0$", "$L_{t-1}$ of each step, $L_0$ at the far left"),
    "axis.t_plus_one": ("t + 1（对数刻度）", "t + 1 (log scale)"),
    "bound.chart_running": ("从 t = T 往下累计", "Sum so far, from t = T down"),
    "bound.running_line": ("累计", "so far"),
    "bound.conventions": (
        "约定：方差 {variance}；{clip}；每一项用 {draws} 份噪声，误差是标准误；256 级灰度。",
        "Conventions: variance {variance}; {clip}; {draws} noises a term, errors are standard errors; 256 gray levels.",
    ),
    "bound.clip_on": ("x̂₀ 截断到 [−1, 1]", "x̂₀ clipped to [−1, 1]"),
    "bound.clip_off": ("x̂₀ 不截断", "x̂₀ not clipped"),
    "bound.respaced": (
        "这是 {chain} 步那条链自己的界，不是 {T} 步训练链的界：步子更大，界通常更松。",
        "This is the bound of the chain of {chain} steps, not of the {T}-step chain it was trained on: longer steps usually make it looser.",
    ),
}
