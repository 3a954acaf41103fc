"""Words of the labs on one pixel, its histogram and its posterior: (Chinese, English)."""

POSTERIOR = {
    "pixel.title": ("同一个像素加噪几千次，分布和公式对得上吗？", "Noise one pixel thousands of times: does its histogram follow the formula?"),
    "pixel.lead": (
        "在图上点一个像素，让它独立地加噪很多次：一半一步一步走，一半一次跳到 $t$。"
        "两张直方图都应该贴着同一条曲线 $\\mathcal N(\\sqrt{\\bar\\alpha_t}\\,x_0,\\ 1-\\bar\\alpha_t)$。",
        "Choose a pixel and noise it many times over, once by single steps and once by one jump to $t$. "
        "Both histograms should follow the same curve $\\mathcal N(\\sqrt{\\bar\\alpha_t}\\,x_0,\\ 1-\\bar\\alpha_t)$.",
    ),
    "pixel.where": ("点图选像素", "Press on the picture to choose a pixel"),
    "pixel.row": ("行（从 0 数起）", "Row, from 0"),
    "pixel.column": ("列（从 0 数起）", "Column, from 0"),
    "pixel.channel": ("颜色通道", "Colour channel"),
    "pixel.channel.red": ("红", "red"),
    "pixel.channel.green": ("绿", "green"),
    "pixel.channel.blue": ("蓝", "blue"),
    "pixel.draws": ("每条路抽多少次", "Draws on each way"),
    "pixel.draws.1000": ("1000 次", "1000"),
    "pixel.draws.5000": ("5000 次", "5000"),
    "pixel.draws.20000": ("20000 次", "20,000"),
    "pixel.agree": (
        "t = {t}，每条路 {draws} 次：两张直方图都和公式一致。均值、方差的偏差最大 {z} 倍标准误；卡方检验最小的 p = {p}。",
        "At t = {t}, {draws} draws each: both histograms follow the formula. Means and variances are off by at most {z} standard errors; "
        "the smaller p of chi-square is {p}.",
    ),
    "pixel.differ": (
        "t = {t}，每条路 {draws} 次：偏差最大 {z} 倍标准误，最小的 p = {p}，偶然很难解释。换个种子再看看。",
        "At t = {t}, {draws} draws each: off by up to {z} standard errors, smallest p {p}, more than chance explains. Try another seed.",
    ),
    "pixel.steps": ("{steps} 个单步", "{steps} single steps"),
    "pixel.jump": ("一次跳到", "one jump"),
    "pixel.axis_x": ("这个像素的值", "value of the pixel"),
    "pixel.axis_density": ("概率密度", "probability density"),
    "pixel.drawn": ("抽到的值", "draws"),
    "pixel.law": ("公式的密度", "density of the formula"),
    "pixel.quantity": ("量", "quantity"),
    "pixel.formula": ("公式值", "formula"),
    "pixel.mean": ("均值", "mean"),
    "pixel.variance": ("方差", "variance"),
    "pixel.chi2": ("卡方", "chi-square"),
    "pixel.how": (
        "均值的标准误是 $\\sqrt{v/n}$，方差的是 $v\\sqrt{2/(n-1)}$，$v=1-\\bar\\alpha_t$。"
        "卡方：按公式把数轴分成 20 段等概率的区间，数每段落了多少个；"
        "p 是公式成立时卡方至少这么大的概率。两条路用的噪声互相独立。",
        "The standard error of the mean is $\\sqrt{v/n}$ and of the variance $v\\sqrt{2/(n-1)}$, with $v=1-\\bar\\alpha_t$. "
        "Chi-square counts the draws in 20 intervals that the formula makes equally likely; "
        "p is the chance of one at least as large if the formula holds. "
        "The two ways use independent noise.",
    ),
    "posterior.title": ("同时知道原图和加噪图，中间那一步是什么样？", "Knowing both the clean and the noised picture, what was in between?"),
    "posterior.lead": (
        "往回走一步要用的后验 $q(\\mathbf x_s\\mid\\mathbf x_t,\\mathbf x_0)$ 就是贝叶斯公式："
        "$\\mathbf x_0$ 给出的先验，乘上 $\\mathbf x_t$ 给出的似然，再归一化。"
        "上面选的那个像素，用公式和数值积分各算一遍。",
        "The posterior $q(\\mathbf x_s\\mid\\mathbf x_t,\\mathbf x_0)$ is Bayes' rule: the prior that $\\mathbf x_0$ gives, "
        "times the likelihood of $\\mathbf x_t$, normalised. Here it is for the pixel chosen above, by the formula and by numerical integration.",
    ),
    "posterior.t": ("后面的时刻 $t$", "Later time $t$"),
    "posterior.s": ("前面的时刻 $s$（$s<t$）", "Earlier time $s$ ($s<t$)"),
    "posterior.which": (
        "像素、图片、调度和种子都跟上面两节一致；$s=t-1$ 就是 DDPM 的单步。",
        "Pixel, picture, schedule and seed are those of the sections above; $s=t-1$ is DDPM's single step.",
    ),
    "posterior.verdict": (
        "$x_0$ = {x_0}，t = {t} 时 $x_t$ = {x_t}，求 s = {s} 时的 $x_s$：公式与“先验 × 似然”归一化后的结果，相对差最大 {difference}。",
        "$x_0$ = {x_0}, $x_t$ = {x_t} at t = {t}, and $x_s$ at s = {s}: formula and normalised product differ by at most {difference}, relatively.",
    ),
    "posterior.chart": ("这个像素在时刻 s = {s} 的值", "The pixel's value at s = {s}"),
    "posterior.axis_x": ("像素值", "value of the pixel at s"),
    "posterior.axis_density": ("概率密度", "probability density"),
    "posterior.prior": ("先验 $q(x_s\\mid x_0)$", "prior $q(x_s\\mid x_0)$"),
    "posterior.likelihood": ("似然 $q(x_t\\mid x_s)$", "likelihood $q(x_t\\mid x_s)$"),
    "posterior.posterior": ("后验 $q(x_s\\mid x_t,x_0)$", "posterior $q(x_s\\mid x_t,x_0)$"),
    "posterior.quantity": ("量", "quantity"),
    "posterior.formula": ("公式", "formula"),
    "posterior.bayes": ("贝叶斯 + 数值积分", "Bayes by quadrature"),
    "posterior.difference": ("相差", "difference"),
    "posterior.fact.mu_tilde": ("后验均值", "posterior mean"),
    "posterior.fact.beta_tilde": ("后验方差", "posterior variance"),
    "posterior.fact.evidence": ("归一化常数", "normalising constant"),
    "posterior.variance_note": (
        "注意：$\\tilde\\beta$ 是方差，标准差是它的平方根；条件里有 $x_0$，所以这不是模型要学的 $p(x_s\\mid x_t)$。"
        "似然画成 $x_s$ 的函数，面积不必等于 1。",
        "Mind: $\\tilde\\beta$ is a variance; the standard deviation is its square root. "
        "$x_0$ is among the conditions, so this is not the $p(x_s\\mid x_t)$ that a model learns. "
        "The likelihood is drawn as a function of $x_s$; its area need not be 1.",
    ),
}
