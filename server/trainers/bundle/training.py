"""Supervised fine-tuning of a causal language model with LoRA (Hu et al., 2021), by TRL, on a GPU or the processor."""

import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import mlflow.pyfunc
import torch
from datasets import Dataset
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from peft import LoraConfig
from transformers import TrainerCallback
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer

from . import base_model, chat, conversations
from .conversations import Conversations, Example, Sides
from .hyperparameters import BadInput, Request
from .progress import Log, Progress, Tell
from .tokenizing import ChatTokenizer

SEEDS: Final = 2**32  # a seed of a job may be negative, one of numpy not
LOGGED_POINTS: Final = 500  # of a training, about; a short one has one for each step
TRAINED_PERCENT: Final = 98  # the rest is writing the model


class Training:
    """One training on its way; making it loads the base model. `sides` are to train on, and to measure on.

    The same request gives the same numbers on the same machine. `tell` is called from the first process only,
    `check_stop` before each conversation and each batch: what it raises ends the training. Raises `BadInput` for a
    base model or conversations that can't be trained on.
    """

    def __init__(
        self, request: Request, sides: Sides, tell: Tell, check_stop: Callable[[], None], threads: int | None
    ) -> None:
        disable_progress_bar()  # nobody watches the log as it is written
        if threads is not None:
            torch.set_num_threads(threads)
        self._request = request
        self._log = Log(tell)
        self._tokenizer = base_model.tokenizer(request.base_model)
        self._encoding = ChatTokenizer(self._tokenizer, request.base_model)
        train, validation = self._side(sides[0], check_stop), self._side(sides[1], check_stop)
        if not train.encoded:
            raise BadInput("NO_DATA", f"no answer in {request.train_file} begins within max_seq_length tokens")
        self._left_out = train.left_out + validation.left_out
        self._folder = TemporaryDirectory()
        self._trainer = SFTTrainer(
            model=base_model.model(request.base_model),
            args=self._arguments(evaluated=bool(validation.encoded)),
            train_dataset=train.dataset(),
            eval_dataset=validation.dataset() if validation.encoded else None,
            processing_class=self._tokenizer,
            peft_config=LoraConfig(
                r=request.whole("lora_rank"),
                lora_alpha=request.number("lora_alpha"),
                lora_dropout=request.number("lora_dropout"),
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
            callbacks=[_Watcher(self._log, check_stop, request.whole("epochs"))],
        )

    def run(self) -> None:
        """Train to the end. Raises `Diverged`, and what `check_stop` raises."""
        self._trainer.train()

    def custom(self) -> dict[str, Any]:
        """What belongs beside the metrics."""
        sizes = [(weight.numel(), weight.requires_grad) for weight in self._trainer.model.parameters()]
        custom: dict[str, Any] = {
            "parameters": sum(size for size, _ in sizes),
            "trained_parameters": sum(size for size, trained in sizes if trained),
            "examples_left_out": self._left_out,
            "device": self._trainer.args.device.type,
        }
        if "eval_loss" in self._log.first:
            custom["untrained_val_loss"] = self._log.first["eval_loss"]
        return custom

    def save(self, folder: Path) -> None:
        """Write adapter and tokenizer in MLflow's format: a pyfunc with the columns question → answer."""
        with TemporaryDirectory() as temporary:
            adapter = Path(temporary, "adapter")
            self._trainer.save_model(str(adapter))
            self._tokenizer.save_pretrained(adapter)
            (adapter / "training_args.bin").unlink(missing_ok=True)  # a pickle of this machine's own settings
            shutil.rmtree(folder, ignore_errors=True)
            mlflow.pyfunc.save_model(
                path=folder,
                python_model=str(Path(chat.__file__)),
                artifacts={"adapter": str(adapter)},
                signature=ModelSignature(
                    inputs=Schema([ColSpec(DataType.string, "question")]),
                    outputs=Schema([ColSpec(DataType.string, "answer")]),
                    params=ParamSchema(
                        [
                            ParamSpec("system_prompt", DataType.string, ""),
                            ParamSpec("max_new_tokens", DataType.long, chat.MOST_NEW_TOKENS),
                        ]
                    ),
                ),
                pip_requirements=[
                    f"{name}=={version(name).split('+')[0]}"
                    for name in ("mlflow-skinny", "pandas", "peft", "torch", "transformers")
                ],
            )

    @property
    def is_first(self) -> bool:
        """Whether this is the one of several processes that tells and saves."""
        return bool(self._trainer.is_world_process_zero())

    def _side(self, side: Conversations, check_stop: Callable[[], None]) -> "_Side":
        max_tokens, examples = self._request.whole("max_seq_length"), list[Example]()
        encoding = self._encoding
        for messages in side:
            check_stop()
            example = conversations.encode(
                messages, encoding.render, encoding.tokenize, max_tokens, encoding.control_tokens
            )
            if example is not None:
                examples.append(example)
        return _Side(examples, len(side) - len(examples))

    def _arguments(self, *, evaluated: bool) -> Any:  # noqa: ANN401  (TRL is not always there to be known)
        request, on_gpu = self._request, torch.cuda.is_available()
        bfloat = on_gpu and torch.cuda.is_bf16_supported()
        return SFTConfig(
            output_dir=self._folder.name,
            num_train_epochs=request.whole("epochs"),
            learning_rate=request.number("learning_rate"),
            per_device_train_batch_size=request.whole("batch_size"),
            per_device_eval_batch_size=request.whole("batch_size"),
            gradient_accumulation_steps=request.whole("gradient_accumulation_steps"),
            warmup_steps=request.whole("warmup_steps"),
            weight_decay=request.number("weight_decay"),
            lr_scheduler_type="cosine",
            max_length=None,  # cut already, where the answers are known
            seed=request.seed % SEEDS,
            bf16=bfloat,
            fp16=on_gpu and not bfloat,
            gradient_checkpointing=on_gpu,
            dataloader_pin_memory=on_gpu,
            ddp_find_unused_parameters=False,
            eval_strategy="epoch" if evaluated else "no",
            eval_on_start=evaluated,
            logging_steps=1 / LOGGED_POINTS,
            logging_first_step=True,
            logging_nan_inf_filter=False,  # it would write the mean in their place
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )


class _Side:
    """The conversations of a side that can be learned from, and how many can not."""

    def __init__(self, encoded: list[Example], left_out: int) -> None:
        self.encoded = encoded
        self.left_out = left_out

    def dataset(self) -> Any:  # noqa: ANN401  (datasets is not always there to be known)
        return Dataset.from_dict(
            {
                "input_ids": [example.input_ids for example in self.encoded],
                "labels": [example.labels for example in self.encoded],
            }
        )


class _Watcher(TrainerCallback):  # type: ignore[misc]  # transformers is not always there to be known
    """Passes on what is logged, and calls `check_stop` before each step and after each batch."""

    def __init__(self, log: Log, check_stop: Callable[[], None], epochs: int) -> None:
        self._log = log
        self._check_stop = check_stop
        self._epochs = epochs
        self._began = time.monotonic()

    def on_log(self, _args: object, state: Any, _control: object, logs: dict[str, float], **_: object) -> None:  # noqa: ANN401
        """Take what transformers logs."""
        if not state.is_world_process_zero:
            return
        self._log.tokens = int(logs.get("num_tokens", self._log.tokens))
        done = state.global_step / max(1, state.max_steps)
        progress = Progress(
            epoch=state.global_step * self._epochs // max(1, state.max_steps),
            epochs=self._epochs,
            percent=int(TRAINED_PERCENT * done),
            tokens=self._log.tokens,
            seconds=time.monotonic() - self._began,
        )
        self._log.add(progress, state.global_step, float(state.epoch or 0), logs)

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Before each step of the optimizer, whatever was logged of the last one is complete."""
        self._log.flush()
        self._check_stop()

    def on_substep_end(self, *_: object, **__: object) -> None:
        """After each batch."""
        self._check_stop()

    def on_prediction_step(self, *_: object, **__: object) -> None:
        """After each batch of an evaluation."""
        self._check_stop()

    def on_train_end(self, *_: object, **__: object) -> None:
        """Nothing comes any more."""
        self._log.flush()
