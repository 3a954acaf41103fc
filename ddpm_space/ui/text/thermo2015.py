"""Words of the section on Sohl-Dickstein et al. 2015: (Chinese, English)."""

THERMO2015 = {
    "thermo2015.title": ("2015 年那篇论文怎样给模型打分？", "How did the paper of 2015 score a model?"),
    "thermo2015.lead": (
        "Sohl-Dickstein 等人用似然的下界 $K$ 打分，越大越好；只会输出平稳分布 $\\pi$ 的模型得 $L_{\\mathrm{null}}$，"
        "所以 $K-L_{\\mathrm{null}}$ 就是这条链学到的比特数。"
        "他们还用熵夹住反向一步的不确定度，其中上界要求 $E|x_0|^2\\le d$：拖动二阶矩，看它在哪里失守。",
        "Sohl-Dickstein et al. score by $K$, a lower bound on the log-likelihood (larger is better); a model that only knows the stationary law "
        "$\\pi$ scores $L_{\\mathrm{null}}$, so $K-L_{\\mathrm{null}}$ is what the chain is worth in bits. They also bound the entropy of a reverse "
        "step; the upper bound needs $E|x_0|^2\\le d$: move the second moment and see where it breaks.",
    ),
    "thermo2015.kernel": ("加噪的核", "Kernel"),
    "thermo2015.kernel.gaussian": ("高斯", "Gaussian"),
    "thermo2015.kernel.binomial": ("二项", "binomial"),
    "thermo2015.shape": ("数轴上的数据（d = 1）", "Data on the line (d = 1)"),
    "thermo2015.shape.gaussian": ("一个高斯", "one Gaussian"),
    "thermo2015.shape.two_peaks": ("两个峰", "two peaks"),
    "thermo2015.moment": ("二阶矩 $E|x_0|^2$", "Second moment $E|x_0|^2$"),
    "thermo2015.period": ("8 个比特，每几个里有一个 1", "Eight bits, a 1 in every …"),
    "thermo2015.period.2": ("2 个", "2nd"),
    "thermo2015.period.4": ("4 个", "4th"),
    "thermo2015.period.8": ("8 个", "8th"),
    "thermo2015.rate": ("比特最后趋向的频率 $\\pi(1)$", "Where the bits end, $\\pi(1)$"),
    "thermo2015.rate.data": ("数据自己的频率", "the data's own rate"),
    "thermo2015.rate.half": ("1/2（一半一半）", "1/2"),
    "thermo2015.steps": ("步数 T", "Steps T"),
    "thermo2015.seed": ("随机种子（两段动画）", "Seed (of the two films)"),
    "thermo2015.verdict": (
        "$K$ = {bound} 比特，比只知道 $\\pi$ 多 {gain} 比特；上限（数据自己的 $E\\log q$）是 {truth}。",
        "$K$ = {bound} bits, {gain} bits better than knowing $\\pi$ alone; no model exceeds {truth}, the data's own $E\\log q$.",
    ),
    "thermo2015.number.bound": ("$K$（比特）", "$K$ (bits)"),
    "thermo2015.number.null": ("$L_{\\mathrm{null}}$（比特）", "$L_{\\mathrm{null}}$ (bits)"),
    "thermo2015.number.gain": ("$K-L_{\\mathrm{null}}$（比特）", "$K-L_{\\mathrm{null}}$ (bits)"),
    "thermo2015.number.truth": ("上限 $E\\log q$（比特）", "ceiling $E\\log q$ (bits)"),
    "thermo2015.number.moment": ("式 14 漏掉的矩项", "moment term, not in eq. 14"),
    "thermo2015.number.plain": ("式 14 原样的 $K$", "$K$ of eq. 14 as printed"),
    "thermo2015.above": (
        "照式 14 原样算的 $K$ 超过了上限：这时二阶矩不等于 d，必须补上矩项，它才是下界。",
        "Eq. 14 as printed exceeds the ceiling here: the second moment is not d, and only with the moment term is $K$ a bound.",
    ),
    "thermo2015.noised": (
        "前向：心跳序列逐步变成噪声，从 $x_0$（左）到 $x_T$（右）",
        "Forward: a heartbeat turns into noise, $x_0$ at the left, $x_T$ at the right",
    ),
    "thermo2015.drawn": (
        "反向：从噪声 $x_T$（左）抽回 $x_0$（右），每一步用精确的 $E[x_0|x_t]$",
        "Reverse: from noise $x_T$ (left) back to $x_0$ (right), each step with the exact $E[x_0|x_t]$",
    ),
    "thermo2015.chart_entropies": ("反向一步的熵，和式 24 的上下界", "Entropy of a reverse step, and the bounds of eq. 24"),
    "thermo2015.chart_distance": ("放大：反向熵减去上界（大于 0 就是失守）", "Enlarged: reverse entropy less its upper bound (above 0 it is broken)"),
    "thermo2015.chart_terms": ("$K$ 里每一步的 KL", "The KL of each step in $K$"),
    "thermo2015.between": ("式 24 的上下界之间", "between the bounds of eq. 24"),
    "axis.entropy": ("熵（比特）", "entropy (bits)"),
    "axis.bits": ("比特", "bits"),
    "thermo2015.sure": (
        "式 24 的上下界在全部 {steps} 步都成立，而且对这样的数据必然成立。",
        "The bounds of eq. 24 hold at all {steps} steps, as they must for such data.",
    ),
    "thermo2015.lucky": (
        "上界在全部 {steps} 步恰好成立，但条件不满足，没有保证。",
        "The upper bound happens to hold at all {steps} steps, but its condition is not met and nothing guarantees it.",
    ),
    "thermo2015.broken": (
        "上界失守：{steps} 步中有 {broken} 步的反向熵超过了它，最多超出 {worst} 比特。下界始终成立。",
        "The upper bound is broken: the reverse entropy exceeds it at {broken} of {steps} steps, by up to {worst} bits. The lower one always holds.",
    ),
    "thermo2015.routes": (
        "$K$ 由两条路算出：对所有 $(x_0,x_t)$ 平均的 KL，与熵之差；两者相差 {bound} 比特。",
        "$K$ comes by two routes, KLs averaged over all $(x_0,x_t)$ and differences of entropies: they differ by {bound} bits.",
    ),
    "thermo2015.entropy_routes": (
        "反向熵也有两条路，相差 {entropy} 比特。",
        "The reverse entropy comes by two routes as well, which differ by {entropy} bits.",
    ),
    "thermo2015.entropy_route": (
        "反向熵在这里只有一条路：由两个边缘分布的熵得到，熵用数值积分。",
        "The reverse entropy has one route here: the entropies of two marginals, by quadrature.",
    ),
}
