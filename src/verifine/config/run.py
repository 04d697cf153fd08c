"""RunConfig: everything a run is made from. YAML, the command line and the Python API all build this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from verifine.config.algorithm import WITH_POOLS, WITHOUT_GROUPS, AlgorithmConfig, LearningRate, RewardConfig
from verifine.config.chat_template import check_template_names
from verifine.config.dataset import DataLocation
from verifine.config.engine import EngineConfig, NativeEngineConfig
from verifine.config.evaluation import EvaluationConfig
from verifine.config.graders import FORMAT_JUDGES, GraderConfig, Schema
from verifine.config.graders.template import TEMPLATE_NAMES
from verifine.config.grading import GradingConfig
from verifine.config.sampling import SamplingConfig
from verifine.config.shorthand import expand_sections

TaskName = Literal["largest", "add", "subtract", "count", "sort", "countdown"]

DecayRate = Annotated[float, Field(ge=0, lt=1)]


class LoraConfig(Schema):
    """Train small matrices beside the frozen weights; `lora: {}` takes the defaults.

    There is no dropout: the log-probabilities that are learned from must be those of the distribution that was
    sampled from.
    """

    rank: int = Field(
        default=16, ge=1, description="Rank of a layer's update: more learns more, and takes more memory."
    )
    alpha: int = Field(default=32, ge=1, description="A layer's update is scaled by alpha / rank.")
    rslora: bool = Field(
        default=False,
        description="Scale by alpha / sqrt(rank) instead, for those who raise the rank: otherwise a higher one learns "
        "more slowly (rsLoRA, arXiv:2312.03732).",
    )
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default="all-linear",
        description="Which layers learn: names such as [q_proj, v_proj], or all-linear for every linear layer but the "
        "vocabulary head.",
    )
    base_bits: Literal[8, 4] | None = Field(
        default=None,
        description="What the frozen linear layers are held in, for those whose model does not fit otherwise; steps "
        "take longer. 4 needs `pip install 'verifine[quantised]'`. null: as the products need them.",
    )


class ModelConfig(Schema):
    """Which model learns."""

    name: str = Field(
        default="SmolLM2-135M-Instruct",
        description="A catalogue name, a Hugging Face hub id, or a folder with config.json and *.safetensors.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="What matrix products are computed in; weights and optimiser stay float32. auto measures which is "
        "faster on this machine.",
    )
    start_from: Path | None = Field(
        default=None,
        description="A run directory, or a checkpoint in one: training begins with its weights in place of the "
        "model's, and with an optimiser that remembers nothing. null: with the model's own.",
    )
    lora: LoraConfig | None = Field(
        default=None, description="Train LoRA adapters only, for a fraction of the memory; null trains every weight."
    )
    chat_template_kwargs: Mapping[str, JsonValue] = Field(
        default={},
        description="Values for variables of the chat template, such as {enable_thinking: false}, for models with a "
        "thinking mode or a reasoning effort. They hold in training, check and evaluation, and are the defaults of the "
        "saved model's template.",
    )

    @model_validator(mode="after")
    def _template_takes_values(self) -> Self:
        check_template_names(self.chat_template_kwargs)
        return self


class DataConfig(Schema):
    """Which prompts it learns from: a built-in task, or data of your own (see docs/data.md)."""

    task: TaskName | None = Field(default=None, description="A built-in task; it brings its own grader.")
    train: DataLocation | None = Field(
        default=None,
        description="A .jsonl, .json, .csv or .parquet file, or hf://OWNER/NAME[/CONFIG][?split=SPLIT] on the hub.",
    )
    eval: DataLocation | None = Field(
        default=None,
        description="Held-out examples, likewise. Without it a tenth of `train` is held out, drawn by the seed.",
    )
    eval_size: int = Field(
        default=64, ge=0, description="Most held-out examples one evaluation asks; 0 evaluates nothing."
    )
    columns: Mapping[str, str] = Field(
        default={},
        description="Our field and the column, or the path in a column, that it comes from, for example {prompt: "
        "question, gt_answer: reward_model.ground_truth}; other columns keep their names.",
    )
    system_prompt: str | None = Field(
        default=None, description="A system message for every chat that has none; null: none is added."
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _columns_are_not_nested(cls, value: object) -> object:
        given = value if isinstance(value, Mapping) else {}
        nested = next((ours for ours, theirs in given.items() if isinstance(theirs, Mapping)), None)
        if nested is not None:
            raise ValueError(
                f"`{nested}` is a section; write our field and the path of the nested one as a text, for example "
                "gt_answer: reward_model.ground_truth"
            )
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.task is None) == (self.train is None):
            raise ValueError("give either `task` (a built-in task) or `train` (your data), not both or neither")
        if self.task is not None and self.eval is not None:
            raise ValueError("`eval` belongs to `train`; a built-in task has its own held-out set")
        if self.task is not None and (self.columns or self.system_prompt is not None):
            name = "columns" if self.columns else "system_prompt"
            raise ValueError(f"`{name}` belongs to `train`; a built-in task has its own prompts")
        return self

    @model_validator(mode="after")
    def _columns_make_sense(self) -> Self:
        for ours, theirs in self.columns.items():
            if not ours or not theirs:
                raise ValueError("`columns` has an empty name; write our field: their column")
            if ours in TEMPLATE_NAMES:
                raise ValueError(
                    f"`columns` cannot make a field {ours}, because graders use that name for something else"
                )
        if {"messages", "prompt"} <= set(self.columns):
            raise ValueError("`columns` fills both messages and prompt, but a row has one of them; remove one")
        return self

    @model_validator(mode="after")
    def _system_prompt_is_not_empty(self) -> Self:
        if self.system_prompt is not None and not self.system_prompt.strip():
            raise ValueError("`system_prompt` is empty; write one, or remove it")
        return self


class OptimConfig(Schema):
    """AdamW and its settings."""

    learning_rate: LearningRate = Field(
        default="auto",
        description="auto: 1e-5 for models under a billion weights, else 1e-6; ten times as much with LoRA.",
    )
    warmup_steps: int = Field(default=10, ge=0, description="Updates over which the learning rate rises to its value.")
    schedule: Literal["constant", "linear"] = Field(
        default="constant",
        description="After the warm-up. linear: the learning rate falls evenly, to `final_share` of it at the end of "
        "the run's steps or minutes, whichever comes first.",
    )
    final_share: float = Field(default=0.1, ge=0, le=1, description="For a linear schedule.")
    betas: tuple[DecayRate, DecayRate] = Field(default=(0.9, 0.99), description="AdamW's decay rates.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's decoupled weight decay.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled down to this norm.")
    micro_batch_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto",
        description="Tokens in one forward and backward pass, one answer with its prompt at least: a memory knob that "
        "changes no result. auto: as many as fit the memory, up to 4096 on a processor and 16384 on an accelerator.",
    )


class RunSection(Schema):
    """How long the run is, its seed, and where it writes."""

    directory: Path | None = Field(default=None, description="The run directory; null creates a new one under ./runs.")
    seed: int = Field(default=0, ge=0, description="Every random number of the run is derived from it.")
    steps: int | None = Field(default=100, ge=1, description="Training steps; null: as many as `minutes` allow.")
    minutes: float | None = Field(default=None, gt=0, description="Time limit, evaluations included; null: none.")
    max_steps: int | None = Field(
        default=None,
        ge=1,
        description="Pause after so many steps, for whoever pays for them to decide; `verifine resume --max-steps` "
        "continues. null: do not.",
    )
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="Pause before the run has taken so many minutes, as where a queue of jobs gives it a slot of time; "
        "`verifine resume --max-minutes` continues. null: do not.",
    )
    eval_interval: int | None = Field(
        default=None, ge=1, description="Steps between two evaluations on held-out data; null: before and after only."
    )
    save_interval: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto",
        description="Steps from one checkpoint to the next. auto: about one a minute, and fewer where they would take "
        "more than 2 % of the time. There is always one at the end.",
    )
    keep_rollouts: int | None = Field(
        default=None,
        ge=1,
        description="How many of the newest steps keep their answers in rollouts/; null: all. An answer takes its "
        "prompt and its text, about 300 bytes of facts, and 18 bytes a token.",
    )
    keep_last: int = Field(default=2, ge=1, description="How many of the newest checkpoints are kept.")
    keep_best: int = Field(
        default=1,
        ge=0,
        description="How many checkpoints with the best held-out results are kept as well; an evaluation during "
        "training that is among them saves one.",
    )

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.steps is None and self.minutes is None:
            raise ValueError("give `steps` or `minutes`, or the run never ends")
        return self


class RunConfig(Schema):
    """A whole run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig
    grader: GraderConfig | None = Field(
        default=None, description="Scores the answers; null with a built-in task, or where Python code brings a grader."
    )
    grading: GradingConfig = GradingConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    reward: RewardConfig = RewardConfig()
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = NativeEngineConfig()
    optim: OptimConfig = OptimConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    run: RunSection = RunSection()

    @property
    def compares_within_groups(self) -> bool:
        """As `RewardConfig.compares_within_groups`, for the algorithm's row."""
        return self.reward.compares_within_groups(self.algorithm.recipe)

    @model_validator(mode="before")
    @classmethod
    def _sections_may_be_short(cls, values: object) -> object:
        return expand_sections(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _task_has_its_grader(self) -> Self:
        if self.data.task is not None and self.grader is not None:
            raise ValueError("`grader` belongs to `data.train`; a built-in task brings its own")
        return self

    @model_validator(mode="after")
    def _group_can_be_compared(self) -> Self:
        name = self.algorithm.name
        if self.sampling.group_size < 2 and self.algorithm.recipe.compares_groups:
            raise ValueError(
                f"`sampling.group_size` must be at least 2: {name} compares the answers to one prompt with each other; "
                f"raise it, or take {WITHOUT_GROUPS}"
            )
        if self.sampling.group_size * self.sampling.prompts_per_step < 2:
            raise ValueError(
                f"`sampling.prompts_per_step` must be at least 2 with a group_size of 1: {name} compares the "
                "answers of a step with each other"
            )
        return self

    @model_validator(mode="after")
    def _pools_have_a_baseline(self) -> Self:
        name = "rounds" if self.sampling.rounds is not None else "allocation"
        if not self.sampling.draws_pools:
            return self
        if not self.algorithm.recipe.takes_pools:
            raise ValueError(
                f"`sampling.{name}` means nothing to {self.algorithm.name}, whose advantages are not just the reward "
                f"minus the mean of a prompt's answers; take {WITH_POOLS}, or remove it"
            )
        if self.reward.scaling not in (None, "none"):
            raise ValueError(
                f"`reward.scaling` must be none with sampling.{name}, which divides no advantage by a standard "
                "deviation; remove it"
            )
        if self.reward.batch_baseline:
            raise ValueError(
                f"`reward.batch_baseline` must be 0 with sampling.{name}, which compares an answer with all that were "
                "drawn for its prompt; remove it"
            )
        return self

    @model_validator(mode="after")
    def _skipped_prompts_teach_nothing(self) -> Self:
        if self.sampling.skip is None or self.compares_within_groups:
            return self
        learns = "also learns from prompts with answers that all score the same"
        if self.algorithm.recipe.compares_groups:
            raise ValueError(
                f"`sampling.skip` means nothing with reward.batch_baseline, which {learns}; remove one of them"
            )
        raise ValueError(f"`sampling.skip` means nothing to {self.algorithm.name}, which {learns}; remove it")

    @model_validator(mode="after")
    def _format_is_judged(self) -> Self:
        if self.reward.format_gate and self.grader is not None and not self.grader.traits.judges_format:
            *others, last = FORMAT_JUDGES
            raise ValueError(
                f"`reward.format_gate` needs a grader that judges the format, and {self.grader.type} does not; take "
                f"{', '.join(others)} or {last}, alone or in a weighted grader, or remove it"
            )
        return self

    @model_validator(mode="after")
    def _scaling_has_a_place(self) -> Self:
        if self.reward.scaling is not None and self.algorithm.recipe.scaling is None:
            raise ValueError(
                f"`reward.scaling` means nothing to {self.algorithm.name}, which has a scaling of its own; remove it"
            )
        return self

    @model_validator(mode="after")
    def _batch_baseline_has_a_place(self) -> Self:
        if self.reward.batch_baseline and self.reward.decided(self.algorithm.recipe).scaling not in ("none", "batch"):
            wish = (
                "set reward.scaling to batch"
                if self.algorithm.recipe.scaling is not None
                else f"{self.algorithm.name} has a baseline of its own; remove it"
            )
            raise ValueError(
                f"`reward.batch_baseline` needs rewards that are not divided by their group's spread; {wish}"
            )
        return self

    @model_validator(mode="after")
    def _batch_can_be_split(self) -> Self:
        prompts = self.sampling.prompts_per_step
        if self.algorithm.mini_batches > prompts:
            raise ValueError(
                f"`algorithm.mini_batches` must be at most sampling.prompts_per_step ({prompts}), "
                "since a group is never split"
            )
        return self

    @model_validator(mode="after")
    def _evaluations_are_there(self) -> Self:
        wish = self._needs_evaluations()
        if wish is not None and self.run.eval_interval is None:
            raise ValueError(
                f"{wish} needs evaluations during training; set run.eval_interval, for example to 10, or remove it"
            )
        if wish is not None and self.data.eval_size == 0:
            raise ValueError(f"{wish} needs held-out prompts, but data.eval_size is 0; raise it, or remove it")
        if self.evaluation.keep == "best" and self.run.keep_best == 0:
            raise ValueError("`evaluation.keep` best needs a checkpoint of the best; set run.keep_best to 1 or more")
        return self

    @model_validator(mode="after")
    def _weights_are_quantised_once(self) -> Self:
        lora = self.model.lora
        if lora is not None and lora.base_bits is not None and not self.engine.is_exact:
            raise ValueError(
                "`model.lora.base_bits` and `engine.precision` int8 are two quantisations of the same weights, and "
                "answers would be learned from that another model gave; set engine.precision to same"
            )
        return self

    def _needs_evaluations(self) -> str | None:
        """The setting that needs evaluations during training; None: there is none."""
        if self.evaluation.keep == "best":
            return "`evaluation.keep` best"
        return None if self.evaluation.patience is None else "`evaluation.patience`"
