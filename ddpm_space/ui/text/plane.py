"""Words of the 2-D lab and of the network that is trained live: (Chinese, English)."""

from ddpm_space.ui.plane_world import PLANE_ERRORS

CHINESE = {
    "error.plane.letters": "“{text}”：请写 1 到 {longest} 个自带字体有的字母（拉丁字母和数字）。",
    "error.plane.empty": "还没有画：至少画 {fewest} 个点，或者另选一组数据。",
}

PLANE = {
    **{key: (CHINESE[key], english) for key, english in PLANE_ERRORS.items()},
    "plane.title": ("去噪网络要是完美的，采样会是什么样？", "What would sampling look like with a perfect network?"),
    "plane.lead": (
        "平面上的数据，$q_t$ 的密度、得分和 $\\mathbb E[\\mathbf x_0\\mid\\mathbf x_t]$ 都有精确公式，这里不用任何网络。"
        "看粒子从纯噪声一步步走回数据；换一组点，或者自己画一组，再看走得对不对。",
        "For data in the plane, the density of $q_t$, its score and $\\mathbb E[\\mathbf x_0\\mid\\mathbf x_t]$ are "
        "exact formulas: no network is used. "
        "Watch particles walk from pure noise back to the data; choose another set, or draw your own, and see whether they arrive.",
    ),
    "plane.world": ("数据", "Data"),
    "plane.world.roll": ("瑞士卷（300 个点）", "Swiss roll (300 points)"),
    "plane.world.moons": ("两弯月牙（240 个点）", "Two moons (240 points)"),
    "plane.world.rings": ("两个圆环（300 个点）", "Two rings (300 points)"),
    "plane.world.bumps": ("八个高斯（混合分布）", "Eight Gaussians (a mixture)"),
    "plane.world.letters": ("写几个字母", "Letters that you write"),
    "plane.world.drawn": ("自己画", "Draw your own"),
    "plane.std": ("每个高斯的标准差", "Standard deviation of each Gaussian"),
    "plane.letters": ("字母（最多 6 个）", "Letters (at most 6)"),
    "plane.drawn": ("用手指、鼠标或键盘画点", "Draw points by finger, mouse or keys"),
    "plane.drawing": (
        "画板：拖动即可画点；也可以用方向键移动十字，按空格放一个点",
        "Drawing board: drag to draw points; or move the cross with the arrow keys and put a point with the space bar",
    ),
    "plane.count": ("{count} 个点，最多 {most} 个", "{count} points of at most {most}"),
    "plane.clear": ("清空", "Clear"),
    "plane.schedule": ("噪声调度", "Noise schedule"),
    "plane.schedule.linear": ("线性", "linear"),
    "plane.schedule.cosine": ("余弦", "cosine"),
    "plane.schedule.sigmoid": ("S 形", "sigmoid"),
    "plane.T": ("链长 $T$", "Length of the chain $T$"),
    "plane.T.50": ("$50$ 步", "$50$ steps"),
    "plane.T.200": ("$200$ 步", "$200$ steps"),
    "plane.T.1000": ("$1000$ 步", "$1000$ steps"),
    "plane.steps": ("采样步数", "Sampling steps"),
    "plane.variance": ("每步方差 $\\sigma_t^2$", "Variance of a step $\\sigma_t^2$"),
    "plane.variance.fixed_small": ("较小：$\\tilde\\beta_t$", "small: $\\tilde\\beta_t$"),
    "plane.variance.fixed_large": ("较大：$\\beta_t$", "large: $\\beta_t$"),
    "plane.particles": ("粒子数", "Particles"),
    "plane.seed": ("随机种子", "Seed"),
    "plane.layers": ("图层", "Layers"),
    "plane.density": ("$q_t$ 的密度（底色）", "density of $q_t$ (shade)"),
    "plane.score": ("得分场（箭头）", "score field (arrows)"),
    "plane.paths": ("几条轨迹", "a few trajectories"),
    "plane.data": ("数据点", "data points"),
    "plane.picture": ("粒子从噪声走回数据", "Particles walking from noise back to data"),
    "plane.x": ("第一坐标", "first coordinate"),
    "plane.y": ("第二坐标", "second coordinate"),
    "plane.frame": ("第 {step} / {total} 步，t = {t}", "step {step} of {total}, t = {t}"),
    "plane.result": ("走完了：$\\mathbf x_0$", "arrived: $\\mathbf x_0$"),
    "plane.result_label": ("走完了：结果", "arrived: the result"),
    "plane.next": ("接下来的一步", "The step from here"),
    "plane.points_world": (
        "数据是 {count} 个点，等概率。完美的网络会把每个粒子送回其中一个点：它记住了数据，也只会重复数据。",
        "The data are {count} points, equally likely. A perfect network takes every particle to one of them: it knows the data by heart, "
        "and repeats them.",
    ),
    "plane.mixture_world": (
        "数据是 {count} 个高斯的混合，有密度，所以走完的粒子是新的点，不是重复旧的。",
        "The data are a mixture of {count} Gaussians. It has a density, so the particles that arrive are new points, not repeated ones.",
    ),
    "plane.distance": (
        "走完的粒子与另抽的数据之间的能量距离：{value}。两组另抽的数据之间：{reference}。两者都应在误差内为 0；步数太少时前者会大起来。",
        "Energy distance between the particles that arrived and data drawn afresh: {value}. Between two fresh sets of data: {reference}. Both should "
        "be 0 within their errors; with too few steps the first grows.",
    ),
    "plane.terminal": (
        "这条链走到头 $\\bar\\alpha_T$ = {value}，$\\mathbf x_T$ 里还留着数据，而采样从纯噪声出发：起点就错了。请用更长的链或余弦调度。",
        "At the end of this chain $\\bar\\alpha_T$ = {value}: $\\mathbf x_T$ still holds data, while sampling starts "
        "from pure noise, in the wrong place. "
        "Use a longer chain, or the cosine schedule.",
    ),
    "plane.shade": (
        "底色按格子里 $q_t$ 的概率深浅，最深的一格此刻占 {value}。箭头是 $(1-\\bar\\alpha_t)\\nabla\\log q_t=\\sqrt{\\bar\\alpha_t}\\,\\mathbb "
        "E[\\mathbf x_0\\mid\\mathbf x_t]-\\mathbf x_t$，按五分之一长度画。",
        "The shade is the probability of $q_t$ in each cell; the darkest now holds {value}. Arrows are $(1-\\bar\\alpha_t)\\nabla\\log q_t="
        "\\sqrt{\\bar\\alpha_t}\\,\\mathbb E[\\mathbf x_0\\mid\\mathbf x_t]-\\mathbf x_t$, drawn at a fifth of their length.",
    ),
    "live.title": ("一个小网络离完美还差多少？", "How far from perfect is a small network?"),
    "live.lead": (
        "在同一份数据上现场训练一个小网络（默认约 3.6 万个参数，改窄则更少），用的就是 $L_{\\mathrm{simple}}$；虚线是贝叶斯下限，谁也低不过它。"
        "左边是完美网络的粒子，右边是它此刻画出的，两边用同样的噪声。",
        "A small network (some 36,000 parameters as set, fewer if narrower) is trained on the same data, here and now, with "
        "$L_{\\mathrm{simple}}$; the dashed line is the Bayes "
        "floor, which no network goes below. Left are the perfect network's particles, right what this one draws at the moment, from the same noise.",
    ),
    "live.run": ("开始训练", "Train"),
    "live.stop": ("停止", "Stop"),
    "live.empty": (
        "还没有开始。点“开始训练”：默认设置在两核的机器上大约十秒，每秒画一次它现在能画出的粒子；最多 30 秒，随时可以停。",
        "Nothing has run yet. Press Train: with the settings as they stand it takes about ten seconds on two cores, "
        "and once a second you see what the "
        "network draws now. It ends after 30 seconds at the latest, and you can stop it at any time.",
    ),
    "live.length": ("训练步数", "Training steps"),
    "live.length.500": ("$500$ 步", "$500$ steps"),
    "live.length.2500": ("$2500$ 步", "$2500$ steps"),
    "live.length.6000": ("$6000$ 步", "$6000$ steps"),
    "live.width": ("隐藏层宽度", "Width of the hidden layers"),
    "live.width.32": ("$32$ 个单元", "$32$ units"),
    "live.width.64": ("$64$ 个单元", "$64$ units"),
    "live.width.128": ("$128$ 个单元", "$128$ units"),
    "live.prediction": ("网络预测什么", "What the network predicts"),
    "live.prediction.v_prediction": ("速度 $\\mathbf v$", "velocity $\\mathbf v$"),
    "live.prediction.epsilon": ("噪声 $\\boldsymbol\\varepsilon$", "noise $\\boldsymbol\\varepsilon$"),
    "live.prediction.sample": ("干净的数据 $\\mathbf x_0$", "clean $\\mathbf x_0$"),
    "live.seed": ("随机种子", "Seed"),
    "live.progress": ("训练进度", "Progress of training"),
    "live.preparing": ("正在算贝叶斯下限和完美网络的粒子……", "Computing the Bayes floor and the perfect network's particles…"),
    "live.running": ("第 {step} / {total} 步，{seconds} 秒", "Step {step} of {total}, {seconds} s"),
    "live.finished": ("训练完成：{step} 步，{seconds} 秒", "Trained: {step} steps, {seconds} s"),
    "live.capped": (
        "到了 {limit} 秒的上限，停在第 {step} / {total} 步：学习率还没有降到 0。",
        "Stopped by the limit of {limit} s at step {step} of {total}: the learning rate had not yet fallen to 0.",
    ),
    "live.stopped": ("已停在第 {step} / {total} 步（{seconds} 秒）", "Stopped at step {step} of {total} ({seconds} s)"),
    "live.verdict": (
        "网络的 $L_{\\mathrm{simple}}$ = {loss}，贝叶斯下限 {floor}，高出 {above}%"
        "（超出 {excess}；对所有 $t$ 平均，{draws} 次全新抽样，两者用同一批）",
        "The network's $L_{\\mathrm{simple}}$ is {loss}, the floor {floor}: {above}% above it (excess {excess}; averaged over all $t$, {draws} fresh "
        "draws, the same for both)",
    ),
    "live.verdict_bumps": (
        "数据每坐标的标准差为 1，由标准差各为 {std} 的高斯组成。",
        "The data have a standard deviation of 1 a coordinate, and are made of Gaussians of standard deviation {std}.",
    ),
    "live.verdict_points": (
        "数据是有限个点，这个下限属于把点全部记住的网络；小网络记不住，学到的是抹平了的形状，这正是它能画出新东西的原因。",
        "The data are finitely many points, and the floor is that of a network that knows all of them by heart. A "
        "small one cannot: it learns a smoothed "
        "shape, and that is why it draws something new.",
    ),
    "live.exact": ("完美网络：离数据 {value}", "Perfect network: {value} from the data"),
    "live.network": ("小网络，第 {step} 步：离数据 {value}", "Small network, step {step}: {value} from the data"),
    "live.network_empty": ("小网络：还没有画", "Small network: nothing drawn yet"),
    "live.apart": (
        "同一份噪声下，两边的粒子平均相距 {value}（距离一律是能量距离；这里是逐个粒子的欧氏距离）。",
        "From the same noise the two end {value} apart on average, particle by particle (distances to the data are energy distances).",
    ),
    "live.curve": (
        "训练损失 $L_{\\mathrm{simple}}$（每一步都是全新的数据）",
        "Training loss $L_{\\mathrm{simple}}$ (all data are new in every step)",
    ),
    "live.curve_label": ("训练损失随训练步的变化", "Training loss over the training steps"),
    "live.loss_line": ("小网络", "small network"),
    "live.floor_line": ("贝叶斯下限", "Bayes floor"),
    "live.loss_axis": ("均方误差", "mean squared error"),
    "live.step_axis": ("训练步", "training step"),
    "live.exact_picture": ("完美网络画出的粒子", "Particles of the perfect network"),
    "live.network_picture": ("小网络画出的粒子", "Particles of the small network"),
}
