"""Words of the labs on likelihood and its bounds (rows N9, N10), in the loss tab: (Chinese, English)."""

LIKELIHOOD = {
    "mle.title": ("哪个高斯分布最像这些数据？", "Which Gaussian is most like these data?"),
    "mle.lead": (
        "最大似然的回答是：让这些数据出现的概率密度最大的那一个。把钟形曲线拖到数据上，看对数似然怎么涨；涨到头的地方，"
        "正好也是数据到模型的 KL 最小的地方。",
        "Maximum likelihood answers: the one under which these data are likeliest. Drag the bell onto the data and watch the log-likelihood rise; "
        "where it is largest, the KL from the data to the model is least.",
    ),
    "mle.law": ("数据来自", "The data come from"),
    "mle.law.gaussian": ("一个高斯", "one Gaussian"),
    "mle.law.bumps": ("三个峰", "three bumps"),
    "mle.law.tails": ("一个高斯加少数离群点", "a Gaussian and a few outliers"),
    "mle.n": ("数据个数 $n$", "Number of data $n$"),
    "mle.mu": ("模型的均值 $\\mu$", "The model's mean $\\mu$"),
    "mle.sigma": ("模型的标准差 $\\sigma$", "The model's standard deviation $\\sigma$"),
    "mle.natural": ("上山时用自然梯度", "Climb along the natural gradient"),
    "mle.seed": ("数据的随机种子", "Seed of the data"),
    "mle.closed": ("直接用公式到达山顶", "Go to the top by formula"),
    "mle.climb": ("从这里沿梯度上山", "Climb from here by gradient"),
    "mle.surface": ("似然的地形：颜色越浓，数据越可能", "The landscape of the likelihood: the stronger the colour, the likelier the data"),
    "mle.surface_how": (
        "方块是现在的模型，十字是公式给出的山顶，箭头是梯度的方向（太长时缩短）。"
        "颜色是 $e^{\\ell-\\hat\\ell}$，即每个数据的似然（几何平均）与最大值之比。",
        "The square is the model now, the cross the top by formula, the arrow the gradient (shortened where long). "
        "The colour is $e^{\\ell-\\hat\\ell}$, the geometric mean of the data's likelihoods, relative to the largest.",
    ),
    "mle.at_top": ("这就是最大似然：梯度为零，再怎么拖都只会更低。", "This is the maximum: the gradient is zero, and any other place is lower."),
    "mle.behind": (
        "平均每个数据还差 {gap} 奈特，也就是似然的几何平均只有最优模型的 {factor} 倍。",
        "{gap} nats below the best for each datum: the geometric mean of their likelihoods is {factor} of what it could be.",
    ),
    "mle.chart": ("{n} 个数据与模型", "{n} data and the model"),
    "mle.axis_x": ("数据的值 x", "value of a datum, x"),
    "mle.data": ("数据", "data"),
    "mle.model": ("模型 $\\mathcal N(\\mu,\\sigma^2)$", "model $\\mathcal N(\\mu,\\sigma^2)$"),
    "mle.best": ("最大似然的高斯", "likeliest Gaussian"),
    "mle.true_law": ("数据真正的来源", "where the data come from"),
    "mle.step": ("第 {step} / {total} 步", "step {step} of {total}"),
    "mle.climbed": (
        "梯度上升 {steps} 步后到顶：μ = {mu}，σ = {sigma}，与公式相差 {away}。",
        "Gradient ascent is at the top after {steps} steps: μ = {mu}, σ = {sigma}, {away} away from the formula.",
    ),
    "mle.climbing": (
        "梯度上升走了 {steps} 步还没到顶：μ = {mu}，σ = {sigma}，离公式给出的山顶还有 {away}。",
        "After {steps} steps gradient ascent is not there yet: μ = {mu}, σ = {sigma}, {away} away from the formula.",
    ),
    "mle.nats": ("奈特", "nats"),
    "mle.row.likelihood": ("平均对数似然", "mean log-likelihood"),
    "mle.row.entropy": ("数据的熵（与模型无关）", "entropy of the data (the model has no part in it)"),
    "mle.row.cross_entropy": ("交叉熵", "cross-entropy"),
    "mle.row.kl": ("数据到模型的 KL", "KL from the data to the model"),
    "mle.row.difference": ("两条路之差", "difference of the two ways"),
    "mle.bins_how": (
        "这张表把数据放进宽 {width} 的格子里：平均对数似然逐个数据算，熵和 KL 只看每格的频率，两条路应当一致。熵不变，所以似然最大就是 KL 最小。",
        "For this table the data lie in bins of width {width}: the mean log-likelihood "
        "goes through the data one by one, entropy and KL know only how "
        "full each bin is, and both must agree. The entropy stays, so the largest likelihood is the least KL.",
    ),
    "jensen.title": ("为什么先平均再取对数，从不小于先取对数再平均？", "Why is the log of an average never less than the average of the logs?"),
    "jensen.lead": (
        "凹函数的弦从不高于曲线，所以 $f(\\mathbb E X)\\ge\\mathbb E f(X)$，这就是 Jensen 不等式。中间的间隙就是变分下界（ELBO）丢掉的那一部分，"
        "拖动两个端点看它变大变小。",
        "A chord of a concave function is never above the curve, hence $f(\\mathbb E X)\\ge\\mathbb "
        "E f(X)$: Jensen's inequality. The gap between the two is "
        "what the variational bound (ELBO) gives away; drag the ends and watch it grow and shrink.",
    ),
    "jensen.f": ("凹函数 $f$", "Concave function $f$"),
    "jensen.f.log": ("对数 $\\log x$", "logarithm $\\log x$"),
    "jensen.f.sqrt": ("平方根 $\\sqrt x$", "root $\\sqrt x$"),
    "jensen.f.entropy": ("熵项 $-x\\log x$", "entropy term $-x\\log x$"),
    "jensen.f.parabola": ("抛物线 $-x^2$", "parabola $-x^2$"),
    "jensen.f.corner": ("折线 $\\min(x,1)$", "corner $\\min(x,1)$"),
    "jensen.shape": ("$X$ 取几个值", "Values that $X$ takes"),
    "jensen.shape.two": ("两个", "two"),
    "jensen.shape.many": ("多个，机会均等", "many, equally likely"),
    "jensen.low": ("一端", "One end"),
    "jensen.high": ("另一端", "Other end"),
    "jensen.p": ("取较大值的概率 $p$", "Chance $p$ of the larger value"),
    "jensen.n": ("值的个数 $n$", "Number of values $n$"),
    "jensen.seed": ("随机种子", "Seed"),
    "jensen.gap": (
        "间隙 $f(\\mathbb E X)-\\mathbb E f(X)$ = {gap}，不会是负的。",
        "The gap $f(\\mathbb E X)-\\mathbb E f(X)$ = {gap}; it is never negative.",
    ),
    "jensen.no_gap": (
        "间隙是 0：$X$ 没有起伏，或者 $f$ 在它的范围里是一条直线。",
        "The gap is 0: $X$ does not vary, or $f$ is straight over its range.",
    ),
    "jensen.route": ("怎么算的", "how it is computed"),
    "jensen.gap_head": ("间隙", "gap"),
    "jensen.row.gap": ("按定义", "by definition"),
    "jensen.row.second_order": ("二阶近似：曲率 × 方差的一半", "second order: half of curvature × variance"),
    "jensen.row.sampled": ("{draws} 次抽样 ± 标准误", "{draws} draws ± standard error"),
    "jensen.row.corrected": ("再减去 1/n 阶偏差 {bias}", "less its bias of order 1/n, {bias}"),
    "jensen.how_log": (
        "$f=\\log$ 就是 ELBO 的情形：$X$ 是重要性权重，它越集中，下界越紧。",
        "$f=\\log$ is the case of the ELBO: $X$ is an importance weight, and the less it varies, the tighter the bound.",
    ),
    "jensen.how_sqrt": (
        "标准差的常用估计是方差的平方根，平均起来偏小，原因就是这个间隙。",
        "The usual estimate of a standard deviation, the root of a variance, is too small on average: by this gap.",
    ),
    "jensen.how_entropy": (
        "$-x\\log x$ 的间隙说明：把分布混合起来，熵只增不减。",
        "The gap of $-x\\log x$ says that mixing distributions never lowers the entropy.",
    ),
    "jensen.how_parabola": (
        "对抛物线，间隙就是方差，二阶近似没有误差。",
        "For a parabola the gap is the variance, and the second-order estimate is exact.",
    ),
    "jensen.how_corner": (
        "折线处处是直的，只在 1 处有个角：两端分在角的两侧才有间隙，而二阶近似看不见角，总是 0。",
        "Straight everywhere but for its corner at 1: there is a gap only if the ends lie on either side, and the second-order estimate, blind to "
        "the corner, is always 0.",
    ),
    "jensen.drag": ("在图上按住并拖动，离得近的一端会跟着走。", "Press and drag in the chart: the nearer end follows."),
    "jensen.chart_log": ("$f(x)=\\log x$ 与它的弦", "$f(x)=\\log x$ and its chord"),
    "jensen.chart_sqrt": ("$f(x)=\\sqrt x$ 与它的弦", "$f(x)=\\sqrt x$ and its chord"),
    "jensen.chart_entropy": ("$f(x)=-x\\log x$ 与它的弦", "$f(x)=-x\\log x$ and its chord"),
    "jensen.chart_parabola": ("$f(x)=-x^2$ 与它的弦", "$f(x)=-x^2$ and its chord"),
    "jensen.chart_corner": ("$f(x)=\\min(x,1)$ 与它的弦", "$f(x)=\\min(x,1)$ and its chord"),
    "jensen.axis_x": ("X 的取值 x", "value of X, x"),
    "jensen.axis_y": ("函数值 f(x)", "f(x)"),
    "jensen.curve": ("曲线 $f$", "curve $f$"),
    "jensen.chord": ("弦", "chord"),
    "jensen.of_mean": ("先平均：$f(\\mathbb E X)$", "of the mean, $f(\\mathbb E X)$"),
    "jensen.mean_of": ("后平均：$\\mathbb E f(X)$", "the mean of it, $\\mathbb E f(X)$"),
    "jensen.summary": ("曲线、弦和两者之间的间隙 {gap}", "The curve, its chord, and the gap of {gap} between them"),
    "iwae.title": ("ELBO 离真正的 log p 有多远，怎样才能更近？", "How far is the ELBO from log p, and what brings it closer?"),
    "iwae.lead": (
        "这里的世界足够小（直线上的三个峰），$\\log p_\\theta(x_0)$ 能用数值积分精确求出，"
        "间隙不必猜。多用几条轨迹（$\\mathrm{IWAE}_k$）会让下界变紧，"
        "把网络变好则让 $\\log p_\\theta$ 本身升高。",
        "In a world this small, three bumps on the line, $\\log p_\\theta(x_0)$ is known by quadrature and the distance need not be guessed. More "
        "trajectories ($\\mathrm{IWAE}_k$) tighten the bound; a better network raises $\\log p_\\theta$ itself.",
    ),
    "iwae.quality": ("网络的质量", "Quality of the network"),
    "iwae.variance": ("反向方差 $\\sigma_t^2$", "Reverse variance $\\sigma_t^2$"),
    "iwae.variance.fixed_small": ("较小 $\\tilde\\beta_t$", "small, $\\tilde\\beta_t$"),
    "iwae.variance.fixed_large": ("较大 $\\beta_t$", "large, $\\beta_t$"),
    "iwae.variance.optimal": ("最优", "optimal"),
    "iwae.steps": ("步数 $T$", "Steps $T$"),
    "iwae.steps.2": ("2 步", "2 steps"),
    "iwae.steps.4": ("4 步", "4 steps"),
    "iwae.steps.8": ("8 步", "8 steps"),
    "iwae.x_0": ("看哪个 $x_0$", "At which $x_0$"),
    "iwae.seed": ("轨迹的随机种子", "Seed of the trajectories"),
    "iwae.sweep": ("质量从 0% 走到 100%", "Quality from 0 to 100%"),
    "iwae.verdict": (
        "ELBO 低了 {gap} 奈特，这正是 $\\mathrm{KL}(q\\,\\|\\,p_\\theta)$；$k$ = 1024 条轨迹之后只差 {left}。",
        "The ELBO is {gap} nats low, which is $\\mathrm{KL}(q\\,\\|\\,p_\\theta)$; with $k$ = 1024 trajectories {left} are left.",
    ),
    "iwae.chart": ("轨迹越多，下界越紧（± 1 标准误）", "More trajectories, a tighter bound (± 1 standard error)"),
    "iwae.axis_k": ("每组的轨迹数 k（对数刻度）", "trajectories a group, k (log scale)"),
    "iwae.axis_nats": ("奈特", "nats"),
    "iwae.axis_mean": ("对数据的平均（奈特）", "mean over the data (nats)"),
    "iwae.axis_x": ("数据的值 x₀", "value of the datum, x₀"),
    "iwae.axis_quality": ("网络的质量", "quality of the network"),
    "iwae.log_p": ("$\\log p_\\theta(x_0)$，数值积分", "$\\log p_\\theta(x_0)$, quadrature"),
    "iwae.elbo": ("ELBO，数值积分", "ELBO, quadrature"),
    "iwae.expected": ("$\\log p_\\theta - \\hat v/2k$，预期的走势", "$\\log p_\\theta - \\hat v/2k$, as expected"),
    "iwae.line": ("$\\mathrm{IWAE}_k$，抽样", "$\\mathrm{IWAE}_k$, sampled"),
    "iwae.along": ("沿着 $x_0$ 看：点一下图来换 $x_0$", "Along $x_0$: press the chart for another $x_0$"),
    "iwae.data": ("数据自己的 $\\log q(x_0)$", "the data's own $\\log q(x_0)$"),
    "iwae.trained": ("网络变好，两条线都升高（看过的每一档）", "A better network lifts both (every quality looked at)"),
    "iwae.sweep_first": (
        "只画看过的质量：拖动“网络的质量”，或者按“质量从 0% 走到 100%”。",
        "Only qualities that were looked at are drawn: move the slider, or press Quality from 0 to 100%.",
    ),
    "iwae.mean_data": ("上限：数据的负熵", "the ceiling: minus the data's entropy"),
    "iwae.mean_log_p": ("平均 $\\log p_\\theta$", "mean $\\log p_\\theta$"),
    "iwae.head_log_p": ("平均 log p", "mean log p"),
    "iwae.mean_elbo": ("平均 ELBO", "mean ELBO"),
    "iwae.mean_gap": ("平均间隙", "mean gap"),
    "iwae.average": ("对数据平均", "averaged over the data"),
    "iwae.row_mean": ("数值积分", "quadrature"),
    "iwae.bound": ("下界", "bound"),
    "iwae.value": ("估计值 ± 标准误", "estimate ± standard error"),
    "iwae.rise": ("比 ELBO 高（同一批轨迹）", "above the ELBO (same trajectories)"),
    "iwae.left": ("离 log p 还差", "short of log p"),
    "iwae.row": ("重要性加权", "importance-weighted"),
    "iwae.how": (
        "质量为 100% 的网络给出真正的后验均值；0% 时只知道数据的均值和方差（一个高斯的后验均值），中间按比例混合，每一档都是一个真正的模型，"
        "上面的数都为它重新计算。所有 $k$ 共用 {trajectories} 条轨迹；权重的相对方差是 {relative}，抵得上 {effective} 条等权轨迹。",
        "At 100% the network gives the true posterior mean; at 0% it knows only the data's mean and variance (the posterior mean of one Gaussian), "
        "and between them the two are mixed: each is a model of its own, for which all numbers are computed anew. All $k$ share {trajectories} "
        "trajectories; the weights' relative variance is {relative}, and they are worth {effective} equal ones.",
    ),
}
