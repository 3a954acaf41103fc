"""The steps in order, with their words: MLE, Jensen, ELBO, the KLs, the weighted mean squared error, L_simple."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ddpm_space.derivation import sides
from ddpm_space.derivation.step import Side, Step
from ddpm_space.derivation.world import World
from ddpm_space.exact.chain import ExactChain


def derivation(x_0: Tensor, chain: ExactChain, *, trajectories: int = 4000, seed: int = 0) -> tuple[Step, ...]:
    """The derivation of a DDPM's loss from maximum likelihood, as steps whose signs can be checked on these data [N10; Ho 2020 section 2-3].

    Every side is an average over the data, which are taken as they are: errors come from quadrature and from drawn trajectories alone. Nothing is
    computed before a step is checked, and what steps share is computed once.

    Args:
        x_0: (M,) numbers, the data; chain: the model, any denoiser or exact world on the line, with its schedule and reverse variances.
        trajectories: drawn for each datum where a side is a Monte Carlo estimate; seed: of these draws.
    Returns:
        the steps in order, their sides one number each or one for each row of the chain ("posterior" begins at row 1). A chain of one step has no
        L_{t-1} and leaves that line out.
    Raises:
        ValueError: x_0 is not (M,), fewer than 2 trajectories, or a chain with alpha_bar_T = 0.
    """
    world = World(x_0, chain, trajectories, seed)

    def step(key: str, relation: str, left: Callable[[World], Side], right: Callable[[World], Side], **words: str) -> Step:
        return Step(key, tuple(words.pop("equations").split()), relation=relation, left=partial(left, world), right=partial(right, world), **words)

    steps = (
        step(
            "likelihood",
            "=",
            sides.log_p,
            sides.minus_entropy_and_kl,
            equations="N10.likelihood_split N10.cross_entropy N10.kl_discrete",
            latex=r"\frac{1}{n}\sum_i \log p_\theta(x_0^{(i)}) = -H(\hat p) - \mathrm{KL}\big(\hat p\,\|\,p_\theta\big)",
            zh="最大似然：让数据的平均对数似然最大，就是让数据到模型的 KL 散度最小，因为数据的熵与模型无关。",
            en="Maximum likelihood: the model under which the data are likeliest is the one of least KL from the data, whose entropy is fixed.",
            route_zh="左：逐点对 x_1..x_T 求积分；右：数据与模型在小区间上的概率之间的熵与 KL，再扣除区间宽度",
            route_en="left: p_theta integrated over x_1..x_T at each datum; right: entropy and KL of probabilities of small bins, less their width",
        ),
        step(
            "importance",
            "=",
            sides.log_p,
            sides.log_mean_weight,
            equations="N9.log_mean N5.q_step N8.p_reverse",
            latex=r"\log p_\theta(x_0) = \log \int p_\theta(x_{0:T})\,dx_{1:T}"
            r" = \log \mathbb{E}_{q}\left[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\right]",
            zh="似然是对所有轨迹的积分；改写成在前向加噪轨迹 q 上的期望。",
            en="The likelihood is an integral over all trajectories, rewritten as an expectation over those of the noising q.",
            route_zh="左：网格上数值积分；右：抽取前向轨迹，取权重平均的对数并扣除其偏差",
            route_en="left: quadrature on a grid; right: drawn noising trajectories, the log of their mean weight, less its bias",
        ),
        step(
            "jensen",
            ">=",
            sides.log_p,
            sides.mean_log_weight,
            equations="N9.jensen_sides N9.elbo",
            latex=r"\log \mathbb{E}_{q}\left[\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\right]"
            r" \ge \mathbb{E}_{q}\left[\log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\right] = \mathrm{ELBO}",
            zh="Jensen 不等式：对数是凹函数，期望的对数不小于对数的期望；右边就是变分下界（ELBO）。",
            en="Jensen's inequality: log is concave, so the log of the expectation is at least the expectation of the log, the ELBO.",
            route_zh="左：网格上数值积分；右：抽取前向轨迹，对数权重的平均",
            route_en="left: quadrature on a grid; right: drawn noising trajectories, the mean of their log-weights",
        ),
        step(
            "gap",
            "=",
            sides.gap_by_subtraction,
            sides.gap_by_forward_route,
            equations="N9.elbo_gap",
            latex=r"\log p_\theta(x_0) - \mathrm{ELBO} = \mathrm{KL}\big(q(x_{1:T} \mid x_0)\,\|\,p_\theta(x_{1:T} \mid x_0)\big)",
            zh="不等式损失的恰好是一个 KL：前向轨迹与模型自己的后验轨迹相差多少。",
            en="What the inequality loses is exactly a KL: how far the noising is from the model's own posterior over trajectories.",
            route_zh="左：两个量各自数值积分后相减；右：从 x_0 向 x_T 逐步累加 KL(q(x_t|x_{t-1}) || p_θ(x_t|x_{t-1}))，不做减法",
            route_en="left: the two numbers subtracted; right: KL(q(x_t|x_{t-1}) || p_theta(x_t|x_{t-1})) summed from x_0 to x_T, nothing subtracted",
        ),
        step(
            "kls",
            "=",
            sides.mean_log_weight,
            sides.minus_all_terms,
            equations="N9.elbo N8.prior_kl N8.kl_term",
            latex=r"\mathrm{ELBO} = -\Big(L_T + \sum_{t=2}^{T} L_{t-1} + L_0\Big)",
            zh="用贝叶斯公式把前向每一步改写成以 x_0 为条件的反向一步，ELBO 就拆成 L_T、各个 L_{t-1} 与 L_0。",
            en="With Bayes each noising step becomes a step back given x_0, and the ELBO falls apart into L_T, every L_{t-1}, and L_0.",
            route_zh="左：抽取前向轨迹，对数权重的平均；右：给定 x_t 的解析式，对 ε 求积分",
            route_en="left: drawn noising trajectories, the mean of their log-weights; right: closed forms given x_t, integrated over eps",
        ),
        step(
            "prior",
            "=",
            sides.prior_by_quadrature,
            sides.prior_closed_form,
            equations="N8.prior_kl",
            latex=r"L_T = \mathbb{E}_q\left[\log \frac{q(x_T \mid x_0)}{p(x_T)}\right] = \mathrm{KL}\big(q(x_T \mid x_0)\,\|\,\mathcal{N}(0, I)\big)",
            zh="L_T：链的终点与纯噪声相差多少；其中没有网络，训练改变不了它。",
            en="L_T: how far the end of the chain is from pure noise; no network in it, training cannot change it.",
            route_zh="左：两个密度之比的对数，数值积分；右：两个高斯之间 KL 的解析式",
            route_en="left: the log of the ratio of the two densities, integrated; right: the closed form for two Gaussians",
        ),
        step(
            "posterior",
            "=",
            sides.posterior_kls_by_quadrature,
            sides.posterior_kls_closed_form,
            equations="N7.q_posterior N8.p_reverse N8.kl_term",
            latex=r"L_{t-1} = \mathbb{E}_q\left[\log \frac{q(x_{t-1} \mid x_t, x_0)}{p_\theta(x_{t-1} \mid x_t)}\right]"
            r" = \mathbb{E}_q\,\mathrm{KL}\big(\mathcal{N}(\tilde\mu_t, \tilde\beta_t I)\,\|\,\mathcal{N}(\mu_\theta, \sigma_t^2 I)\big)",
            zh="L_{t-1}：模型的反向一步与真实后验 q(x_{t-1}|x_t,x_0) 相差多少；两者都是高斯，KL 有解析式。",
            en="L_{t-1}: how far the model's step is from the true posterior q(x_{t-1}|x_t,x_0); both are Gaussian, so the KL has a closed form.",
            route_zh="左：后验由前向密度按贝叶斯公式得到，对 x_{t-1} 与 x_t 双重积分；右：高斯 KL 的解析式",
            route_en="left: the posterior by Bayes from the noising's densities, integrated over x_{t-1} and x_t; right: the KL in closed form",
        ),
        step(
            "decoder",
            "=",
            sides.decoder_by_quadrature,
            sides.decoder_over_eps,
            equations="N8.p_reverse N2.log_density",
            latex=r"L_0 = -\mathbb{E}_q \log p_\theta(x_0 \mid x_1)"
            r" = \frac{1}{2\sigma_1^2}\mathbb{E}_q\|x_0 - \mu_\theta(x_1, 1)\|^2 + \frac{1}{2}\log(2\pi\sigma_1^2)",
            zh="L_0：最后一步还原数据的代价；这里 p_θ(x_0|x_1) 是高斯密度，不分灰度级。",
            en="L_0: what the last step back to the data costs; here p_theta(x_0|x_1) is a Gaussian density, without grey levels.",
            route_zh="左：在 x_1 的网格上求和；右：对 ε 求积分",
            route_en="left: summed over a grid of x_1; right: integrated over eps",
        ),
        step(
            "means",
            "=",
            sides.terms_by_quadrature,
            sides.squared_means_and_constants,
            equations="N8.kl_term N2.kl_gaussian N7.q_posterior",
            latex=r"L_{t-1} = \mathbb{E}_q\left[\frac{1}{2\sigma_t^2}\|\tilde\mu_t(x_t, x_0) - \mu_\theta(x_t, t)\|^2\right] + C_t",
            zh="方差给定后，KL 中与网络有关的只剩两个均值之差的平方；C_t 只由方差决定。",
            en="With the variances given, all that the network can change is the squared difference of the two means; C_t holds the variances alone.",
            route_zh="左：KL 在 x_t 的网格上求和；右：均值差的平方对 ε 求积分，加上常数",
            route_en="left: the KL summed over a grid of x_t; right: the squared difference integrated over eps, plus the constant",
        ),
        step(
            "weighted_mse",
            "=",
            sides.squared_means,
            sides.weighted_mse,
            equations="N8.eps_weight N8.mu_theta_from_eps",
            latex=r"\frac{1}{2\sigma_t^2}\mathbb{E}_q\|\tilde\mu_t - \mu_\theta\|^2"
            r" = w_t\,\mathbb{E}_{\varepsilon}\|\varepsilon - \varepsilon_\theta(x_t, t)\|^2,"
            r"\qquad w_t = \frac{\beta_{t|s}^2}{2\sigma_t^2 (1-\beta_{t|s})(1-\bar\alpha_t)}",
            zh="换成预测噪声：均值之差就是噪声误差乘以一个只与 t 有关的系数，平方后得到权重 w_t。",
            en="Predicting the noise: the difference of the means is the error of the noise times a number of t alone, which squared gives w_t.",
            route_zh="左：由 x_0 的预测与后验公式求均值；右：噪声的均方误差乘以 w_t",
            route_en="left: the means, by the predicted x_0 and the posterior; right: the noise's mean squared error times w_t",
        ),
        step(
            "bound_as_mse",
            "=",
            sides.minus_elbo_by_quadrature,
            sides.weighted_mse_and_constants,
            equations="N9.elbo N8.eps_weight N8.prior_kl",
            latex=r"-\mathrm{ELBO} = \sum_{t=1}^{T} w_t\,\mathbb{E}\|\varepsilon - \varepsilon_\theta(x_t, t)\|^2"
            r" + \underbrace{L_T + \sum_{t=1}^{T} C_t}_{\text{no}\ \theta}",
            zh="合起来：最大化下界，就是最小化各时刻噪声误差的加权和，其余都是常数。",
            en="Together: to raise the bound is to lower a weighted sum of the noise's squared errors; the rest is constant.",
            route_zh="左：ELBO 在 x_t 的网格上求和；右：噪声的均方误差对 ε 求积分，加权求和再加常数",
            route_en="left: the ELBO summed over grids of x_t; right: the noise's errors integrated over eps, weighted, plus the constants",
        ),
        step(
            "simple",
            "~",
            sides.weighted_objective,
            sides.simple_objective,
            equations="N8.eps_weight N8.simple_loss",
            latex=r"\sum_{t=1}^{T} w_t\,\mathbb{E}\|\varepsilon - \varepsilon_\theta(x_t, t)\|^2 \ \sim\ "
            r"\frac{1}{T}\sum_{t=1}^{T} \mathbb{E}\|\varepsilon - \varepsilon_\theta(x_t, t)\|^2 = L_{\text{simple}}",
            zh="去掉权重：数值变了，不再是下界；但在每个 t，使误差最小的预测不变。改变的是有限的网络把力气花在哪些 t 上。",
            en="Drop the weights: another number, no bound, but least for the same prediction at every t; a network's effort shifts between the t.",
            route_zh="左：使各项最小的 ε_θ 的倍数，由三点抛物线的顶点；右：由最小二乘 E[ε ε_θ]/E[ε_θ²]",
            route_en="left: the multiple of eps_theta that makes each term least, vertex of a parabola through three; right: least squares",
        ),
        step(
            "training",
            "=",
            sides.l_simple,
            sides.l_simple_as_trained,
            equations="N8.simple_loss N3.q_cumulative_sample",
            latex=r"L_{\text{simple}} = \mathbb{E}_{t \sim U\{1..T\},\,x_0,\,\varepsilon}\big\|\varepsilon - \varepsilon_\theta("
            r"\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon,\ t)\big\|^2",
            zh="训练时每次随机取一个 t、一个 ε：平均起来正是 L_simple。",
            en="Training draws one t and one eps at a time: on average that is L_simple.",
            route_zh="左：逐个 t，对 ε 求积分；右：随机的 t 与 ε 的平均",
            route_en="left: every t in turn, integrated over eps; right: the mean over random t and eps",
        ),
    )
    return steps if len(chain.schedule) > 1 else tuple(step for step in steps if step.key != "posterior")
