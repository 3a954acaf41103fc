"""Words of row N1's labs, Langevin's equation: (Chinese, English)."""

LANGEVIN = {
    # Particles in a potential
    "langevin.title": ("粒子在热浴里乱撞，最后停在什么分布上？", "Particles kicked about by heat: which distribution do they settle on?"),
    "langevin.lead": (
        "一群粒子从同一点静止出发，受势场的拉力、介质的摩擦和热运动的随机撞击。"
        "不管质量和摩擦多大，它们的位置最终都服从 $\\exp(-U/kT)$；能不能到、多久才到，则要看势垒、温度和摩擦。",
        "A cloud starts at rest from one point; the potential pulls it, friction slows it, heat kicks it at random. Whatever mass and friction, "
        "its positions end up following $\\exp(-U/kT)$; how soon depends on barriers, temperature and friction.",
    ),
    "langevin.potential": ("势场", "Potential"),
    "langevin.potential.harmonic": ("谐振势阱", "one well"),
    "langevin.potential.double_well": ("双势阱", "two wells"),
    "langevin.potential.tilted": ("倾斜的双势阱", "two wells, tilted"),
    "langevin.potential.ring": ("环形谷", "ring"),
    "langevin.potential.mueller_brown": ("Müller–Brown 势能面", "Müller–Brown"),
    "langevin.motion": ("方程", "Equation"),
    "langevin.motion.underdamped": ("带惯性", "with inertia"),
    "langevin.motion.overdamped": ("过阻尼", "overdamped"),
    "langevin.kT": ("温度 kT", "Temperature kT"),
    "langevin.gamma": ("摩擦系数 γ", "Friction γ"),
    "langevin.mass": ("质量 m", "Mass m"),
    "langevin.seed": ("随机种子", "Random seed"),
    "langevin.cloud": (
        "粒子云在势场平面上的位置；底色越浓，平衡时的密度越大",
        "Where the particles are in the plane; the stronger the colour below, the higher the density in equilibrium",
    ),
    "langevin.at": ("时间 {t}", "time {t}"),
    "langevin.histogram": ("这一刻 $x_1$ 的分布", "Distribution of $x_1$ at this moment"),
    "langevin.histogram_summary": (
        "这一刻全部粒子 x₁ 的直方图，与平衡分布比较",
        "Histogram of x₁ over all particles at this moment, against the law of equilibrium",
    ),
    "langevin.measured": ("粒子的直方图", "the particles"),
    "langevin.law": ("平衡分布 $\\exp(-U/kT)/Z$", "equilibrium $\\exp(-U/kT)/Z$"),
    "langevin.chance": ("平衡时的随机波动（±2 个标准误）", "what chance allows in equilibrium (±2 standard errors)"),
    "langevin.temperature": ("粒子读出的温度", "The temperature that the particles show"),
    "langevin.kinetic": ("动能读数 $\\langle mv^2\\rangle$", "from motion, $\\langle mv^2\\rangle$"),
    "langevin.virial": ("位力读数 $-\\langle xF\\rangle$", "from position, $-\\langle xF\\rangle$"),
    "langevin.set": ("设定的 $kT$", "$kT$ as set"),
    "langevin.settled": (
        "已到平衡：{bins} 个格子里的粒子数与 $\\exp(-U/kT)$ 的均方偏差为 {value}，期望 1 ± {spread}。",
        "In equilibrium: over {bins} bins the mean squared deviation from $\\exp(-U/kT)$ is {value}, expected 1 ± {spread}.",
    ),
    "langevin.unsettled": (
        "还没到平衡：{bins} 个格子里的粒子数与 $\\exp(-U/kT)$ 的均方偏差为 {value}，平衡时应为 1 ± {spread}。",
        "Not in equilibrium yet: over {bins} bins the mean squared deviation from $\\exp(-U/kT)$ is {value}; in equilibrium it is 1 ± {spread}.",
    ),
    "langevin.how_underdamped": (
        "共模拟 {particles} 个粒子，画出其中 {drawn} 个；直方图和读数都用全部粒子。偏差的单位是每格的二项方差 $Np(1-p)$。积分用 BAOAB，步长 {dt}。",
        "{particles} particles are walked and {drawn} of them drawn; histogram and readings count all. The deviation is in units of each bin's "
        "binomial variance $Np(1-p)$. Steps are BAOAB's, of length {dt}.",
    ),
    "langevin.how_overdamped": (
        "共模拟 {particles} 个粒子，画出其中 {drawn} 个；直方图和读数都用全部粒子。偏差的单位是每格的二项方差 $Np(1-p)$。"
        "过阻尼方程里没有速度，也就没有动能读数。积分用欧拉-丸山法，步长 {dt}。",
        "{particles} particles are walked and {drawn} of them drawn; histogram and readings count all. The deviation is in units of each bin's "
        "binomial variance $Np(1-p)$. The overdamped equation has no velocity to read. Steps are Euler–Maruyama's, of length {dt}.",
    ),
    # A free particle
    "msd.title": ("没有外力时，一个粒子走多远？", "With nothing to hold it, how far does a particle get?"),
    "msd.lead": (
        "刚出发时它还记得自己的速度，位移与 $t$ 成正比；撞得多了就忘了，位移只与 $\\sqrt t$ 成正比。"
        "均方位移的公式把两段连在一起，分界在 $t=2m/\\gamma$；这里用一群粒子去量它。",
        "At first it remembers its velocity and goes as far as $t$; kicked often enough it has forgotten, and gets only as far as $\\sqrt t$. "
        "One formula for the mean-square displacement joins the two, which cross at $t=2m/\\gamma$; here a cloud measures it.",
    ),
    "msd.kT": ("温度 kT", "Temperature kT"),
    "msd.gamma": ("摩擦系数 γ", "Friction γ"),
    "msd.mass": ("质量 m", "Mass m"),
    "msd.seed": ("随机种子", "Random seed"),
    "msd.place": ("读哪个时刻", "Read at"),
    "msd.chart": ("均方位移 $\\langle|x(t)-x(0)|^2\\rangle$（每个坐标）", "Mean-square displacement $\\langle|x(t)-x(0)|^2\\rangle$ per coordinate"),
    "msd.chart_summary": (
        "均方位移随时间的变化，双对数坐标：测量值与公式、两段渐近线",
        "Mean-square displacement against time, both logarithmic: measured, the formula, and its two regimes",
    ),
    "msd.measured": ("测量值（±1 个标准误）", "measured (±1 standard error)"),
    "msd.theory": ("公式", "formula"),
    "msd.ballistic": ("弹道段 $\\frac{kT}{m}t^2$", "ballistic $\\frac{kT}{m}t^2$"),
    "msd.diffusive": ("扩散段 $\\frac{2kT}{\\gamma}t$", "diffusive $\\frac{2kT}{\\gamma}t$"),
    "msd.ratio": ("测量值 ÷ 公式", "Measured ÷ formula"),
    "msd.ratio_summary": ("测量值与公式之比随时间的变化", "Measured over formula against time"),
    "msd.memory": ("速度的记忆 $\\langle v(0)v(t)\\rangle$", "The velocity's memory $\\langle v(0)v(t)\\rangle$"),
    "msd.memory_summary": ("速度自相关随时间的衰减", "How the velocity's autocorrelation decays with time"),
    "msd.axis_ratio": ("比值", "ratio"),
    "msd.axis_msd": ("均方位移", "mean-square displacement"),
    "msd.axis_velocity": ("速度相关", "velocity correlation"),
    "msd.agree": (
        "在 {count} 个时刻上，测量值与公式最多相差 {z} 个标准误，属于正常的随机波动。",
        "At {count} times the cloud is at most {z} standard errors from the formula, which is what chance gives.",
    ),
    "msd.differ": (
        "在 {count} 个时刻上，测量值与公式最多相差 {z} 个标准误，比随机波动常见的大：换个种子再看。",
        "At {count} times the cloud is up to {z} standard errors from the formula, more than chance usually gives: try another seed.",
    ),
    "msd.how": (
        "{particles} 个粒子，每个两个坐标，初速度取自热平衡分布 $\\mathcal N(0,kT/m)$。同一群粒子贯穿始终，所以相邻的点会一起偏高或偏低。",
        "{particles} particles of two coordinates, first velocities drawn from the thermal law $\\mathcal N(0,kT/m)$. The same particles are "
        "followed throughout, so neighbouring points are high or low together.",
    ),
    # The bridge
    "bridge.title": ("DDPM 的加噪一步，和热浴里的粒子有什么关系？", "What has a noising step of DDPM to do with a particle in a heat bath?"),
    "bridge.lead": (
        "它们就是同一件事：粒子按 $\\mathrm dx=-\\tfrac12\\beta(s)x\\,\\mathrm ds+\\sqrt{\\beta(s)}\\,\\mathrm dW$ 走过一步，位置的分布恰好是 "
        "$x_t=\\sqrt{1-\\beta_t}\\,x_{t-1}+\\sqrt{\\beta_t}\\,\\varepsilon$，其中 $\\beta_t=1-e^{-B}$，$B$ 是这一步里 $\\beta(s)$ 的积分。"
        "这里把一步切成许多小步真的走一遍，再与公式比较。",
        "They are one thing: a particle that follows $\\mathrm dx=-\\tfrac12\\beta(s)x\\,\\mathrm ds+\\sqrt{\\beta(s)}\\,\\mathrm dW$ through a step "
        "is distributed exactly as $x_t=\\sqrt{1-\\beta_t}\\,x_{t-1}+\\sqrt{\\beta_t}\\,\\varepsilon$ with $\\beta_t=1-e^{-B}$, "
        "$B$ being the integral of $\\beta(s)$ over the step. Here the step is cut into many small ones, walked, and compared.",
    ),
    "bridge.source": ("这一步来自", "Where the step comes from"),
    "bridge.source.schedule": ("噪声调度", "a noise schedule"),
    "bridge.source.physics": ("弹簧上的粒子", "a particle on a spring"),
    "bridge.schedule": ("噪声调度（T = 1000）", "Noise schedule (T = 1000)"),
    "bridge.schedule.linear": ("线性", "linear"),
    "bridge.schedule.cosine": ("余弦", "cosine"),
    "bridge.schedule.sigmoid": ("S 形", "sigmoid"),
    "bridge.t": ("时间步 t", "Step t"),
    "bridge.span": ("几步并作一步", "Steps taken as one"),
    "bridge.stiffness": ("弹簧刚度 k（取 kT = k）", "Spring k (with kT = k)"),
    "bridge.dt": ("经过的时间 Δt", "Time Δt"),
    "bridge.gamma": ("摩擦系数 γ", "Friction γ"),
    "bridge.x": ("起点 xₜ₋₁", "Start xₜ₋₁"),
    "bridge.substeps": ("切成几小步", "Small steps"),
    "bridge.seed": ("随机种子", "Random seed"),
    "bridge.paths": ("走过这一步：{drawn} 条路径", "Through the step: {drawn} paths"),
    "bridge.paths_summary": ("几条路径与精确的均值和标准差", "A few paths with the exact mean and standard deviation"),
    "bridge.path": ("小步走出的路径", "paths of small steps"),
    "bridge.exact_mean": ("精确均值", "exact mean"),
    "bridge.exact_band": ("精确均值 ± 2 个标准差", "exact mean ± 2 standard deviations"),
    "bridge.end": ("走完这一步，$x_t$ 的分布", "Distribution of $x_t$ at the end"),
    "bridge.end_summary": ("全部路径终点的直方图，与精确的高斯分布比较", "Histogram of all paths' ends, against the exact Gaussian"),
    "bridge.walked": ("{count} 条路径的终点", "ends of {count} paths"),
    "bridge.exact": ("公式", "formula"),
    "bridge.axis_share": ("这一步走了多少", "share of the step"),
    "bridge.quantity": ("量", "quantity"),
    "bridge.mean": ("均值", "mean"),
    "bridge.variance": ("方差", "variance"),
    "bridge.euler": ("{n} 小步（算出的）", "{n} small steps, computed"),
    "bridge.measured": ("{n} 小步（走出的）", "{n} small steps, walked"),
    "bridge.z": ("走出的与公式相差", "walked against formula"),
    "bridge.in_se": ("{z} 个标准误", "{z} standard errors"),
    "bridge.agree": (
        "{count} 条路径的均值和方差与公式相差不超过 {z} 个标准误：这一小段郎之万运动，就是加噪一步。",
        "Mean and variance of {count} paths are within {z} standard errors of the formula: this stretch of Langevin motion is the noising step.",
    ),
    "bridge.coarse": (
        "走出的与公式相差 {z} 个标准误，但与“{n} 小步”算出的只差 {euler} 个：不是运气，是小步切得太粗。多切几步，差别就消失。",
        "Walked and formula are {z} standard errors apart, yet only {euler} from what {n} small steps must give: not chance, the small steps are too "
        "coarse. Cut finer and the difference goes.",
    ),
    "bridge.differ": (
        "走出的与公式相差 {z} 个标准误，与“{n} 小步”算出的也差 {euler} 个，比随机波动常见的大：换个种子再看。",
        "Walked and formula are {z} standard errors apart, and {euler} from what {n} small steps must give, more than chance usually gives: "
        "try another seed.",
    ),
    "bridge.one_step": (
        "第 {t} 步。$B=-\\ln(1-\\beta_t)$，所以任何在这一步里积分为 $B$ 的 $\\beta(s)$ 都给出同一个加噪步。",
        "Step {t}. $B=-\\ln(1-\\beta_t)$, so every $\\beta(s)$ whose integral over the step is $B$ gives the same noising step.",
    ),
    "bridge.many_steps": (
        "第 {first} 到 {t} 步并作一步（{span} 步）：积分相加，$e^{-B}$ 就是 $\\bar\\alpha_t/\\bar\\alpha_s$ = {ratio}。",
        "Steps {first} to {t} taken as one ({span} of them): integrals add up, and $e^{-B}$ is $\\bar\\alpha_t/\\bar\\alpha_s$ = {ratio}.",
    ),
    "bridge.physics": (
        "过阻尼粒子在 $U=\\tfrac12kx^2$ 里，每隔 $\\Delta t$ = {dt} 看一眼：$\\beta_t=1-\\exp(-2k\\Delta t/\\gamma)$。"
        "取 $kT=k$，平衡方差才是 1，终点才是 $\\mathcal N(0,1)$。",
        "An overdamped particle in $U=\\tfrac12kx^2$, looked at every $\\Delta t$ = {dt}: $\\beta_t=1-\\exp(-2k\\Delta t/\\gamma)$. "
        "Only with $kT=k$ is the variance of equilibrium 1 and the end $\\mathcal N(0,1)$.",
    ),
    # Sampling with a score
    "ula.title": ("只知道得分函数，能采样吗？", "Can one sample knowing nothing but the score?"),
    "ula.lead": (
        "能：每一步沿得分 $\\nabla\\log p$ 走一点，再加一份噪声，这就是郎之万采样。"
        "步长有限时它会偏（ULA）；每步再按 Metropolis 准则以一定的概率接受（MALA），偏差就没有了，代价是有些步白走。",
        "Yes: go a little along the score $\\nabla\\log p$, add noise, repeat; that is Langevin sampling. With steps of finite size its law is off "
        "(ULA); let a coin decide whether each step is taken (MALA) and the error is gone, at the price of steps not taken.",
    ),
    "ula.target": ("目标分布", "Target"),
    "ula.target.one": ("一个高斯", "one Gaussian"),
    "ula.target.three": ("三个高斯", "three Gaussians"),
    "ula.target.apart": ("两个离得远的高斯", "two far apart"),
    "ula.eta": ("步长 η", "Step size η"),
    "ula.seed": ("随机种子", "Random seed"),
    "ula.unadjusted": ("ULA：每步都走", "ULA: every step is taken"),
    "ula.adjusted": ("MALA：以一定的概率接受", "MALA: a coin decides"),
    "ula.cloud_ula": ("ULA 的样本，底色是目标密度", "Samples of ULA over the target density"),
    "ula.cloud_mala": ("MALA 的样本，底色是目标密度", "Samples of MALA over the target density"),
    "ula.at": ("第 {step} 步", "step {step}"),
    "ula.histogram_ula": ("ULA：这一步 $x_1$ 的分布", "ULA: distribution of $x_1$ at this step"),
    "ula.histogram_mala": ("MALA：这一步 $x_1$ 的分布", "MALA: distribution of $x_1$ at this step"),
    "ula.histogram_summary": (
        "这一步全部样本 x₁ 的直方图，与目标密度比较",
        "Histogram of x₁ over all samples at this step, against the target density",
    ),
    "ula.samples": ("样本", "samples"),
    "ula.law": ("目标密度", "target density"),
    "ula.quantity": ("第 {step} 步", "at step {step}"),
    "ula.second": ("二阶矩 $\\langle x_1^2\\rangle$（精确值 {exact}）", "second moment $\\langle x_1^2\\rangle$ (exactly {exact})"),
    "ula.deviation": ("直方图的均方偏差（应为 1 ± {spread}）", "mean squared deviation of the histogram (should be 1 ± {spread})"),
    "ula.accepted": ("被接受的步", "steps taken"),
    "ula.all": ("全部", "all"),
    "ula.how": (
        "各 {chains} 条链，从同样的 $\\mathcal N(0,\\mathbf I)$ 出发，步长相同；画出其中 {drawn} 条，数字用全部。偏差的单位是每格的二项方差。"
        "步长太小时，200 步还走不到另一个峰：那不是偏差，是还没走到。",
        "{chains} chains each, from the same start $\\mathcal N(0,\\mathbf I)$ with the same step size; {drawn} are drawn, the numbers count all. "
        "The deviation is in units of each bin's binomial variance. With small steps 200 of them do not reach the other peak: that is no bias, they "
        "have not arrived.",
    ),
    "langevin.axis_time": ("时间", "time"),
    "langevin.axis_density": ("概率密度", "density"),
    "langevin.axis_temperature": ("温度", "temperature"),
    "langevin.axis_x_1": ("坐标 x₁", "coordinate x₁"),
    "langevin.axis_x_2": ("坐标 x₂", "coordinate x₂"),
    "langevin.axis_x": ("位置 x", "position x"),
}
