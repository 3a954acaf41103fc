"""Words of the loss tab: (Chinese, English)."""

from ddpm_space.ui.labs.loss_runs import WORK_ERRORS

LOSS = {
    "loss.title": ("模型到底错在哪里、错多少？", "How wrong is the model, and where?"),
    "loss.lead": (
        "训练只做一件事：给 $\\mathbf x_0$ 加上已知的噪声 $\\boldsymbol\\varepsilon$，让网络猜回来。下面在几个 $t$ 上比较真噪声和预测，"
        "再对所有 $t$ 求平均，就是 $L_{\\mathrm{simple}}$。",
        "Training does one thing: it adds a known noise $\\boldsymbol\\varepsilon$ to $\\mathbf x_0$ and has the network guess it. "
        "Here true and predicted noise stand side by side at a few $t$; averaged over all $t$, the error is $L_{\\mathrm{simple}}$.",
    ),
    "loss.stop": ("停止", "Stop"),
    "error.run.work": (
        "这要让网络算 {value} 次（{steps} 步 × {draws} 份噪声 × {pictures} 张图），最多接受 {highest} 次："
        "请换短一点的链、少用几份噪声，或者只算一张图。",
        WORK_ERRORS["error.run.work"],
    ),
    "seen.label": ("模型看到的图", "The picture as the model sees it"),
    "seen.words": ("模型看到的图：{size} × {size}，{colour}", "as the model sees it: {size} × {size}, {colour}"),
    "seen.several": ("{count} 张图一起：{size} × {size}，{colour}", "{count} pictures together: {size} × {size}, {colour}"),
    "seen.gray": ("灰度", "gray"),
    "seen.rgb": ("彩色", "colour"),
    "seen.outside_digits": (
        "这张图不属于训练数据（黑底白字的手写数字），误差和比特数会明显偏大。",
        "This is not of the training data (handwritten digits, white on black): expect larger errors and more bits.",
    ),
    "seen.outside_clothes": (
        "这张图不属于训练数据（黑底上的灰度衣物），误差和比特数会明显偏大。",
        "This is not of the training data (clothes in gray on black): expect larger errors and more bits.",
    ),
    "seen.unknown": (
        "这个模型是用什么图训练的，页面无从知道：如果不是这一类图，误差和比特数会明显偏大。",
        "What this model was trained on is not known here: if it was other pictures than this, expect larger errors and more bits.",
    ),
    "seen.impossible": (
        "这张图不是那十个数字之一：对认定只有这十张图的完美网络来说，它根本不可能出现。",
        "This is none of the ten digits: to the perfect network, which knows only those, it is impossible.",
    ),
    "ran.label": ("模型", "Model"),
    "ran.next": ("下一次运行用 {source}", "The next run uses {source}"),
    "ran.change": ("换一个（在“采样”页签）", "Choose another (Sampling tab)"),
    "ran.with_model": ("测的是模型 {source}（{origin}），它{prediction}。", "Measured: the model {source} ({origin}), which {prediction}."),
    "ran.with_perfect": (
        "测的是十个数字的完美网络，不是模型；噪声调度和图的大小取自 {source}（{origin}）。",
        "Measured: the perfect network of the ten digits, not a model; noise schedule and picture size are those of {source} ({origin}).",
    ),
    "ran.predicts.epsilon": ("预测噪声 $\\boldsymbol\\varepsilon$", "predicts the noise $\\boldsymbol\\varepsilon$"),
    "ran.predicts.v_prediction": ("预测速度 $\\mathbf v$", "predicts the velocity $\\mathbf v$"),
    "ran.predicts.sample": ("预测原图 $\\mathbf x_0$", "predicts the clean image $\\mathbf x_0$"),
    "ran.revision": ("版本 {revision}", "revision {revision}"),
    "ran.bundled": ("页面自带", "ships with this page"),
    "ran.folder": ("本地文件夹", "a local folder"),
    "ran.other": ("此后又选了别的模型：再运行一次才会测它。", "Another model has been chosen since: run again to measure it."),
    "downloads.csv": ("表格 CSV", "Table as CSV"),
    "errors.timesteps": ("在哪些 t 上比较（逗号隔开；留空则自动选五个）", "Timesteps, with commas (empty: five of them)"),
    "errors.seed": ("随机种子", "Seed"),
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
        "变分下界给出 $-\\log p_\\theta(\\mathbf x_0)$ 的一个上限，它由 T + 1 项相加而成："
        "终点离纯噪声有多远、每一步反向有多不准、最后一步解码花多少。"
        "总和换算成比特、再除以维数（像素数 × 通道数），就是 bits/dim；越小越好。",
        "The variational bound splits an upper limit of $-\\log p_\\theta(\\mathbf x_0)$ into T + 1 terms: how far the end is from "
        "pure noise, how wrong each "
        "reverse step is, and what the last decoding costs. Their sum in bits, "
        "divided by the number of values (pixels × channels), is bits/dim; smaller is better.",
    ),
    "bound.chain": ("沿哪条链计算", "Along which chain"),
    "bound.chain.50": ("50 步", "50 steps"),
    "bound.chain.100": ("100 步", "100 steps"),
    "bound.chain.250": ("250 步", "250 steps"),
    "bound.chain.all": ("全部 T 步", "all T steps"),
    "bound.pictures": ("计算哪张图的下界", "Whose bound"),
    "bound.pictures.mine": ("上面选的图", "the picture above"),
    "bound.pictures.digits": ("十张自带的数字", "the ten bundled digits"),
    "bound.network": ("用哪个网络", "Network"),
    "bound.network.model": ("加载的模型", "the loaded model"),
    "bound.network.perfect": ("十个数字的完美网络", "perfect for the ten digits"),
    "bound.seed": ("随机种子", "Seed"),
    "bound.draws": ("每一项用几份噪声", "Noises for each term"),
    "bound.draws.2": ("2 份", "2"),
    "bound.draws.4": ("4 份", "4"),
    "bound.draws.8": ("8 份", "8"),
    "bound.variance": ("反向每一步的方差 σₜ²", "Variance of each reverse step σₜ²"),
    "bound.variance.fixed_large": ("$\\beta_t$（较大）", "$\\beta_t$ (large)"),
    "bound.variance.fixed_small": ("$\\tilde\\beta_t$（较小）", "$\\tilde\\beta_t$ (small)"),
    "bound.variance.analytic": ("$\\sigma_t^{*2}$（最优）", "$\\sigma_t^{*2}$ (best)"),
    "bound.clip": ("先把 x̂₀ 截断到 [−1, 1]", "Clip x̂₀ to [−1, 1] first"),
    "bound.run": ("计算变分下界", "Compute bound"),
    "bound.empty": (
        "点“计算变分下界”：上面选好的那张图，T + 1 项从噪声最大的一步开始逐项算出，总和随之累计。",
        "Press Compute bound: for the picture chosen above, the T + 1 terms arrive one by one from the noisiest step down, and "
        "the sum grows with them.",
    ),
    "bound.progress": ("变分下界的进度", "Progress of the bound"),
    "bound.running": ("已到 {done} / {total} 项", "{done} of {total} terms"),
    "bound.finished": ("完成：{total} 项全部算完", "Done: all {total} terms"),
    "bound.stopped": ("已停在第 {done} / {total} 项，总和不完整", "Stopped at {done} of {total} terms: the sum is incomplete"),
    "bound.total": ("合计 {value} bits/dim（不压缩的像素是 8）", "Total: {value} bits/dim (uncompressed pixels: 8)"),
    "bound.so_far": ("目前累计 {value} bits/dim", "So far: {value} bits/dim"),
    "bound.part.L_T": ("$L_T$：终点与纯噪声之差", "$L_T$: the end against pure noise"),
    "bound.part.L_t-1": ("所有 $L_{t-1}$ 之和：反向每一步与真实后验之差", "all $L_{t-1}$: each reverse step against the true posterior"),
    "bound.part.L_0": ("$L_0$：最后一步的解码", "$L_0$: the last decoding"),
    "bound.chart_terms": ("每一步的 $L_{t-1}$，最左端是 $L_0$", "$L_{t-1}$ of each step, $L_0$ at the far left"),
    "axis.t_plus_one": ("t + 1（对数刻度）", "t + 1 (log scale)"),
    "bound.band": ("± 2 标准误", "± 2 standard errors"),
    "bound.chart_running": ("从 t = T 往下累计", "Sum so far, from t = T down"),
    "bound.running_line": ("累计", "so far"),
    "bound.conventions": (
        "约定：方差 {variance}；{clip}；每一项用 {draws} 份噪声，误差是标准误；256 级灰度。",
        "Conventions: variance {variance}; {clip}; {draws} noises a term, errors are standard errors; 256 gray levels.",
    ),
    "bound.clip_on": ("x̂₀ 截断到 [−1, 1]", "x̂₀ clipped to [−1, 1]"),
    "bound.clip_off": ("x̂₀ 不截断", "x̂₀ not clipped"),
    "bound.weighing": (
        "权重乘以噪声误差就是 $L_{t-1}$；方差不取 $\\tilde\\beta_t$ 时，还要加一项与所预测的噪声无关的量。截断了 x̂₀ 的步和 $L_0$ 只是近似如此。",
        "Weight times error is $L_{t-1}$, plus, unless the variance is $\\tilde\\beta_t$, a term that does not depend on the predicted noise; "
        "where x̂₀ is clipped, and for $L_0$, only nearly so.",
    ),
    "bound.respaced": (
        "这是 {chain} 步那条链自己的界，不是 {T} 步训练链的界：步子更大，界通常更松。",
        "This is the bound of the chain of {chain} steps, not of the {T}-step chain it was trained on: longer steps usually make it looser.",
    ),
    "bound.where": ("比特花在哪里，$L_{\\mathrm{simple}}$ 又看重哪里", "Where the bits go, and where $L_{\\mathrm{simple}}$ looks"),
    "bound.stretch": ("时间段", "stretch"),
    "bound.bits": ("bits/dim 合计", "bits/dim"),
    "bound.share": ("占变分下界", "share of the bound"),
    "bound.simple": ("占 $L_{\\mathrm{simple}}$", "share of $L_{\\mathrm{simple}}$"),
    "bound.stretch_one": ("$t = {from}$（$L_0$ 项）", "$t = {from}$ ($L_0$)"),
    "bound.stretch_range": ("$t$ 从 {from} 到 {to}", "$t$ from {from} to {to}"),
    "bound.stretch_end": ("链的终点（$L_T$ 项）", "the end ($L_T$)"),
    "bound.chart_weights": ("噪声的平方误差在每个 t 值多少奈特", "What a squared error of the noise costs at each t, in nats"),
    "bound.weight_true": ("变分下界的权重 $w_t$", "the bound's weight $w_t$"),
    "bound.weight_simple": ("$L_{\\mathrm{simple}}$ 的权重：1", "$L_{\\mathrm{simple}}$'s weight: 1"),
    "axis.weight": ("权重（奈特）", "weight (nats)"),
    "bound.chart_errors": ("每个 t 的噪声误差", "Error of the noise at each t"),
    "bound.floor_line": ("贝叶斯下限", "Bayes floor"),
    "bound.floor_unknown": (
        "一张任意的图没有已知的下限。选“十张自带的数字”：在“图只可能是这十张之一”的世界里，任何网络都无法低于的误差是精确已知的。",
        "For any picture no floor is known. Choose the ten bundled digits: in the world where a picture is one of "
        "these ten, the error that no network "
        "can undercut is known exactly.",
    ),
    "bound.floor_later": ("正在等第一批可以与下限比较的项……", "Waiting for the first terms that can be compared with the floor…"),
    "bound.floor_model": (
        "加载的模型比贝叶斯下限高 {value}（噪声的均方误差，{count} 个 t 的平均，下限由每个 t 的 {samples} 个精确样本得到）。"
        "它并不知道世界上只有这十张图，所以高出来的一部分是它无从得知的。",
        "The loaded model is above the Bayes floor by {value} (mean squared error of the noise, mean over {count} "
        "timesteps; the floor from {samples} "
        "exact samples at each). It was never told that there are only these ten pictures, so part of that it could not know.",
    ),
    "bound.floor_perfect": (
        "完美网络与贝叶斯下限之差：{value}（噪声的均方误差，{count} 个 t 的平均，下限由每个 t 的 {samples} 个精确样本得到）；应当在误差之内为零。",
        "The perfect network against the Bayes floor: {value} (mean squared error of the noise, mean over {count} "
        "timesteps; the floor from {samples} "
        "exact samples at each); within its error this should be zero.",
    ),
    "bound.about_perfect": (
        "网络：不是训练出来的，而是精确的 $E[x_0|x_t]$，它认定图是十个自带数字之一；别的图对它来说不可能，比特数会非常大。",
        "Network: not a trained one but the exact $E[x_0|x_t]$, for which a picture is one of the ten bundled digits; any other is impossible to it "
        "and costs very many bits.",
    ),
    "lossy.title": ("如果把这张图当成压缩文件，先收到的比特画出了什么？", "As a compressed file, what do the first bits of this picture draw?"),
    "lossy.lead": (
        "把 $x_T,\\dots,x_t$ 依次发给接收方，他随时可以猜一张 $\\hat{\\mathbf x}_0$：发出的比特是码率，猜错多少是失真。"
        "Ho 2020 第 4.3 节在 CIFAR-10 上测得，一半以上的比特花在肉眼看不出的细节上。",
        "Send $x_T,\\dots,x_t$ one after another: at any time the receiver can guess $\\hat{\\mathbf x}_0$. The bits "
        "sent are the rate, the error of the guess "
        "is the distortion; on CIFAR-10 more than half of the bits went into details that no eye sees (Ho 2020, section 4.3).",
    ),
    "lossy.empty": (
        "点“画出率失真曲线”：先逐步算出码率和失真，再给出接收方在各个时刻看到的图。",
        "Press Rate against distortion: rate and distortion come step by step, then the pictures that the receiver sees on the way.",
    ),
    "lossy.run": ("画出率失真曲线", "Rate against distortion"),
    "lossy.network": ("用哪个网络", "Network"),
    "lossy.network.model": ("加载的模型", "the loaded model"),
    "lossy.network.perfect": ("十个数字的完美网络", "perfect for the ten digits"),
    "lossy.chain": ("沿哪条链计算", "Along which chain"),
    "lossy.chain.50": ("50 步", "50 steps"),
    "lossy.chain.100": ("100 步", "100 steps"),
    "lossy.chain.250": ("250 步", "250 steps"),
    "lossy.chain.all": ("全部 T 步", "all T steps"),
    "lossy.draws": ("每一项用几份噪声", "Noises for each term"),
    "lossy.draws.2": ("2 份", "2"),
    "lossy.draws.4": ("4 份", "4"),
    "lossy.draws.8": ("8 份", "8"),
    "lossy.variance": ("反向每一步的方差 σₜ²", "Variance of each reverse step σₜ²"),
    "lossy.variance.fixed_large": ("$\\beta_t$（较大）", "$\\beta_t$ (large)"),
    "lossy.variance.fixed_small": ("$\\tilde\\beta_t$（较小）", "$\\tilde\\beta_t$ (small)"),
    "lossy.variance.analytic": ("$\\sigma_t^{*2}$（最优）", "$\\sigma_t^{*2}$ (best)"),
    "lossy.clip": ("先把 x̂₀ 截断到 [−1, 1]", "Clip x̂₀ to [−1, 1] first"),
    "lossy.seed": ("随机种子", "Seed"),
    "lossy.place": ("发到哪一步（占全部步数）", "How much of the chain is sent"),
    "lossy.running": ("已算完 {done} / {total} 步，每步 {draws} 份噪声", "{done} of {total} steps, {draws} noises at each"),
    "lossy.finished": ("完成：{total} 步，每步 {draws} 份噪声", "Done: {total} steps, {draws} noises at each"),
    "lossy.stopped": ("已停在第 {done} / {total} 步", "Stopped after {done} of {total} steps"),
    "lossy.sent": ("要发送的图", "to be sent"),
    "lossy.channel": ("已经收到的", "received so far"),
    "lossy.guess": ("接收方的猜测", "the receiver's guess"),
    "lossy.verdict": (
        "收到 $x_t$（t = {t}）时：码率 {rate} bits/dim，失真 {rmse}（0–255 灰度级的均方根误差）",
        "With $x_t$ at t = {t} received: rate {rate} bits/dim, distortion {rmse} (root mean squared error, gray levels 0–255)",
    ),
    "lossy.own": (
        "数字是多份噪声的平均（± 标准误）；上面画的是其中一份 $x_t$ 的猜测，它自己的误差是 {own}。",
        "The numbers are means over the noises (± standard error); the picture is the guess from one $x_t$, whose own error is {own}.",
    ),
    "lossy.frame": ("{rate} bits/dim，误差 {rmse}", "{rate} bits/dim, error {rmse}"),
    "lossy.chart_curve": ("失真随码率下降", "Distortion against rate"),
    "lossy.chart_steps": ("码率随发出的步数上升", "Rate against steps sent"),
    "lossy.band": ("± 2 标准误", "± 2 standard errors"),
    "lossy.distortion": ("失真", "distortion"),
    "lossy.rate": ("码率", "rate"),
    "lossy.rate_symbol": ("码率", "rate"),
    "lossy.step_symbol": ("步", "step"),
    "lossy.note": (
        "这是理论上的码长：真要逐步发送 $x_t$，还需要一种码长接近 KL 的编码，例如论文提到的最小随机编码。"
        "最后一步（$L_0$）不在码率里，它把剩下的误差全部补齐。",
        "These are lengths in principle: sending $x_t$ step by step takes a code that comes close to the KL, such as "
        "the paper's minimal random coding. The last step, $L_0$, is not "
        "in the rate; it would make up for all that is left.",
    ),
    "axis.rate": ("码率 (bits/dim)", "rate (bits/dim)"),
    "axis.rmse": ("失真（0–255 的均方根误差）", "distortion (RMSE, 0–255)"),
    "axis.sent": ("已发出的步数", "steps sent"),
}
