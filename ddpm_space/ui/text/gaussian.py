"""Words of the labs on Gaussians (rows N2, N3), in the noising tab: (Chinese, English)."""

GAUSSIAN = {
    "gaussian.title": ("换了 μ 和 σ，还是同一份噪声吗？", "Change μ and σ: is it still the same noise?"),
    "gaussian.lead": (
        "是的：$x = \\mu + \\sigma\\varepsilon$ 把随机性全放进 $\\varepsilon$，μ 和 σ 只负责平移和拉伸，这就是重参数化。"
        "拖动钟形曲线，看同一批 $\\varepsilon$ 怎样跟着走；加噪公式 $q(\\mathbf x_t\\mid\\mathbf x_0)$ 用的就是它。",
        "It is: $x = \\mu + \\sigma\\varepsilon$ keeps all randomness in $\\varepsilon$, while μ and σ only shift and stretch; this is the "
        "reparameterization. Drag the bell and watch the same $\\varepsilon$ go along: noising, $q(\\mathbf x_t\\mid\\mathbf x_0)$, is made of this.",
    ),
    "gaussian.mu": ("均值 $\\mu$", "Mean $\\mu$"),
    "gaussian.sigma": ("标准差 $\\sigma$", "Standard deviation $\\sigma$"),
    "gaussian.seed": ("$\\varepsilon$ 的随机种子", "Seed of $\\varepsilon$"),
    "gaussian.hint": (
        "也可以直接在图上拖：抓住顶端移动均值，抓住两侧改变宽度。",
        "Or drag in the chart: the top moves the mean, the flanks change the width.",
    ),
    "gaussian.threads": ("每个 ε 连到它的 x = μ + σε", "Each ε tied to its x = μ + σε"),
    "gaussian.quantity": ("量", "quantity"),
    "gaussian.formula": ("公式", "formula"),
    "gaussian.quadrature": ("数值积分", "quadrature"),
    "gaussian.difference": ("差", "difference"),
    "gaussian.chart": ("密度 $p(x)=\\mathcal N(x;\\mu,\\sigma^2)$", "The density $p(x)=\\mathcal N(x;\\mu,\\sigma^2)$"),
    "gaussian.axis_x": ("x 的取值", "x"),
    "gaussian.axis_density": ("概率密度", "density"),
    "gaussian.line": ("$x$ 的密度", "density of $x$"),
    "gaussian.standard": ("$\\varepsilon$ 的密度 $\\mathcal N(0,1)$", "density of $\\varepsilon$, $\\mathcal N(0,1)$"),
    "gaussian.summary": ("均值 {mu}、标准差 {sigma} 的高斯密度", "Gaussian density, mean {mu}, standard deviation {sigma}"),
    "gaussian.fact.area": ("曲线下的面积", "area under the curve"),
    "gaussian.fact.entropy": ("熵（奈特）", "entropy (nats)"),
    "gaussian.fact.kl": ("到标准正态的 KL（奈特）", "KL to the standard normal (nats)"),
    "gaussian.how": (
        "同一个种子的 {count} 个 $\\varepsilon$ 不变；粗线画的是其中第一个。$\\bar x$ 后面的 ± 是标准误，$s_x$ 是这 {count} 个点的标准差。",
        "The {count} values of $\\varepsilon$ stay as long as the seed does; the bold thread is the first. The ± of $\\bar x$ is its standard error, "
        "$s_x$ the standard deviation of the {count} points.",
    ),
    "gaussian.above_one": (
        "顶端的密度是 {top}，大于 1：密度不是概率，面积才是，而面积仍是 1。图中是同一批 {count} 个点。",
        "The density at the top is {top}, more than 1: a density is no probability, an area is, and the area is still 1. "
        "The {count} points are the same ones.",
    ),
    "pairs.title": ("两个高斯相加、相乘，得到什么？", "Add two Gaussians, or multiply them: what comes out?"),
    "pairs.lead": (
        "相加是两个随机变量之和：均值相加，方差相加，每一步加噪都靠它。相乘是把两条密度曲线乘起来再归一化：精度（方差的倒数）相加，"
        "贝叶斯公式求后验靠它。",
        "Adding is for random variables: means add and variances add, and every step of noising rests on that. Multiplying is for the two densities, "
        "scaled to area 1 afterwards: precisions (1/variance) add, and every posterior by Bayes rests on that.",
    ),
    "pairs.kind": ("做什么", "What to do"),
    "pairs.kind.sum": ("变量相加 $aX+bY$", "add: $aX+bY$"),
    "pairs.kind.product": ("密度相乘 $p_1p_2$", "multiply: $p_1p_2$"),
    "pairs.mu_1": ("第一个的均值 $\\mu_1$", "First mean $\\mu_1$"),
    "pairs.sigma_1": ("第一个的标准差 $\\sigma_1$", "First standard deviation $\\sigma_1$"),
    "pairs.mu_2": ("第二个的均值 $\\mu_2$", "Second mean $\\mu_2$"),
    "pairs.sigma_2": ("第二个的标准差 $\\sigma_2$", "Second standard deviation $\\sigma_2$"),
    "pairs.a": ("系数 $a$", "Factor $a$"),
    "pairs.b": ("系数 $b$", "Factor $b$"),
    "pairs.seed": ("抽样的随机种子", "Seed of the draws"),
    "pairs.step": ("设成一步加噪（$a^2+b^2=1$）", "One step of noising ($a^2+b^2=1$)"),
    "pairs.chart_sum": ("$aX+bY$ 的密度与直方图", "Density and histogram of $aX+bY$"),
    "pairs.chart_product": ("两条密度与它们的乘积", "Two densities and their product"),
    "pairs.axis_x": ("取值 x", "x"),
    "pairs.drawn": ("{draws} 次抽样", "{draws} draws"),
    "pairs.first_sum": ("$X$ 的密度", "density of $X$"),
    "pairs.second_sum": ("$Y$ 的密度", "density of $Y$"),
    "pairs.result_sum": ("$aX+bY$ 的公式", "$aX+bY$ by formula"),
    "pairs.first_product": ("$p_1$ 的密度", "density $p_1$"),
    "pairs.second_product": ("$p_2$ 的密度", "density $p_2$"),
    "pairs.raw": ("乘积 $p_1p_2$（面积为 $c$）", "product $p_1p_2$ (area $c$)"),
    "pairs.result_product": ("归一化之后", "scaled to area 1"),
    "pairs.measured_sum": ("{draws} 次抽样 ± 标准误", "{draws} draws ± standard error"),
    "pairs.measured_product": ("数值积分", "quadrature"),
    "pairs.row.c": ("面积", "area"),
    "pairs.row.mean": ("均值", "mean"),
    "pairs.row.variance": ("方差", "variance"),
    "pairs.how_sum": (
        "两条路：公式，和把 {draws} 对独立的 $X$、$Y$ 真的加起来。相加的是方差，不是标准差；$b$ 取负号时方差照样相加。",
        "Two ways: the formula, and {draws} independent pairs of $X$ and $Y$ added up. It is variances that add, not standard deviations; "
        "they add for a negative $b$ too.",
    ),
    "pairs.how_product": (
        "两条路：公式，和对 $p_1(x)p_2(x)$ 做数值积分。乘积比两者都窄；两个钟形离得越远，面积 $c$ 越小，也就是两者给出的信息越矛盾。",
        "Two ways: the formula, and quadrature of $p_1(x)p_2(x)$. The product is narrower "
        "than both; the farther apart the bells, the smaller the area "
        "$c$, that is, the more the two contradict each other.",
    ),
    "gradients.title": ("为什么梯度要从噪声里穿过去？", "Why send gradients through the noise?"),
    "gradients.lead": (
        "$\\mathbb E f(x)$ 对 $\\mu$ 的梯度有两种无偏估计：沿着 $x=\\mu+\\sigma\\varepsilon$ "
        "求导（重参数化），或者只用 $f$ 的值乘以得分（REINFORCE）。"
        "平均值一样，离散程度差得多：方差是几倍，同样精度就要几倍的抽样。",
        "The gradient of $\\mathbb E f(x)$ in $\\mu$ has two unbiased estimators: differentiate "
        "along $x=\\mu+\\sigma\\varepsilon$ (reparameterized), or "
        "multiply values of $f$ by the score (REINFORCE). Their means agree, their spreads "
        "do not: so many times the variance, so many times the draws.",
    ),
    "gradients.f": ("函数 $f$", "Function $f$"),
    "gradients.f.square": ("平方 x²", "square x²"),
    "gradients.f.shifted": ("平移的平方 (x − 2)²", "shifted (x − 2)²"),
    "gradients.f.lifted": ("抬高的平方 x² + 10", "lifted x² + 10"),
    "gradients.f.line": ("直线 x", "line x"),
    "gradients.f.wave": ("余弦波 cos 3x", "wave cos 3x"),
    "gradients.f.step": ("台阶：x > 0 为 1，否则为 0", "step: 1 where x > 0, else 0"),
    "gradients.parameter": ("对谁求梯度", "Gradient in"),
    "gradients.parameter.mean": ("均值 $\\mu$", "mean $\\mu$"),
    "gradients.parameter.std": ("标准差 $\\sigma$", "std $\\sigma$"),
    "gradients.mu": ("均值 $\\mu$", "Mean $\\mu$"),
    "gradients.sigma": ("标准差 $\\sigma$", "Standard deviation $\\sigma$"),
    "gradients.draws": ("抽样次数", "Draws"),
    "gradients.seed": ("随机种子", "Seed"),
    "gradients.estimator": ("估计", "estimator"),
    "gradients.mean": ("{draws} 次的均值 ± 标准误", "mean of {draws} ± standard error"),
    "gradients.variance": ("单次方差，实测 ± 标准误", "variance of one, measured ± standard error"),
    "gradients.theory": ("单次方差，理论", "variance of one, exact"),
    "gradients.ratio": ("抵得上 1 次重参数化所需的抽样", "draws worth 1 reparameterized"),
    "gradients.needed": ("误差降到 1% 所需的抽样", "draws for an error of 1%"),
    "gradients.name.pathwise": ("重参数化", "reparameterized"),
    "gradients.name.score": ("得分函数", "score function"),
    "gradients.name.baseline": ("得分函数 − 最优基线", "score function, best baseline"),
    "gradients.chart_pathwise": ("重参数化：每次抽样给出的梯度", "Reparameterized: the gradient that one draw gives"),
    "gradients.chart_score": ("得分函数：每次抽样给出的梯度", "Score function: the gradient that one draw gives"),
    "gradients.chart_baseline": ("得分函数减去最优基线 $b$", "Score function with the best baseline $b$"),
    "gradients.axis_x": ("单次抽样的梯度 g", "gradient of one draw, g"),
    "gradients.axis_y": ("占比", "share"),
    "gradients.shares": ("均值 {mean}，竖线是精确值", "mean {mean}; the upright line is exact"),
    "gradients.shares_outside": (
        "均值 {mean}，竖线是精确值；另有 {outside}% 在图外",
        "mean {mean}; the upright line is exact; {outside}% lie beyond the picture",
    ),
    "gradients.summary": (
        "单次梯度的直方图：均值 {mean}，精确值 {exact}，{outside}% 在图外",
        "Histogram of single gradients: mean {mean}, exact {exact}, {outside}% beyond the picture",
    ),
    "gradients.verdict": (
        "得分函数的方差是重参数化的 {ratio} 倍，用上最优基线也还有 {best} 倍：要同样的精度，就要抽这么多倍的样本。",
        "The score function has {ratio} times the variance, and {best} times with the best baseline: "
        "that many times the draws for the same precision.",
    ),
    "gradients.verdict_wave": (
        "这里反过来：$f$ 起伏太快，重参数化的方差是得分函数的 {gain} 倍（有基线时得分函数是它的 {best} 倍）。重参数化通常更好，但不是定理。",
        "Here it is the other way round: $f$ wiggles so fast that the reparameterized gradient has {gain} times the variance "
        "(with a baseline the score function has {best} times its variance). Reparameterizing usually wins; no theorem says so.",
    ),
    "gradients.verdict_certain": (
        "$f$ 是直线，它的斜率处处相同：重参数化一次抽样就是精确值，得分函数仍要靠平均。",
        "$f$ is a line with one slope everywhere: a single reparameterized draw is exact, while the score function still has to average.",
    ),
    "gradients.verdict_step": (
        "台阶没有可以沿着走的斜率，这里只剩得分函数；最优基线把它的方差降到 1/{saved}。",
        "A step has no slope to follow: only the score function is left. The best baseline divides its variance by {saved}.",
    ),
    "gradients.no_path": (
        "台阶的导数几乎处处为 0，自动微分会给出 0，而真正的梯度不是 0：函数库在这里报错，不给出错误的数。",
        "The derivative of a step is 0 almost everywhere; autograd would answer 0, which is not the gradient. The library refuses here instead.",
    ),
    "gradients.how": (
        "三种估计用同一批 {draws} 个 $\\varepsilon$；基线由另外 {draws} 个试抽的点估出，否则会带来偏差。最后一列的 1% 指一个标准误占精确梯度的比例。",
        "All three use the same {draws} values of $\\varepsilon$; the baseline comes from "
        "{draws} pilot draws of their own, as it would bias the estimate "
        "otherwise. The 1% of the last column is one standard error as a share of the exact gradient.",
    ),
    "gradients.by_formula": (
        "$f$ 是二次函数：精确梯度由数值积分和公式两条路求得，理论方差用公式。",
        "$f$ is quadratic: the exact gradient comes by quadrature and by formula, the exact variances by formula.",
    ),
    "gradients.by_quadrature": (
        "$f$ 不是二次函数：精确梯度和理论方差都由对 $\\varepsilon$ 的数值积分求得。",
        "$f$ is not quadratic: exact gradient and variances come by quadrature over $\\varepsilon$.",
    ),
}
