"""The trained model, as MLflow loads it: a question in, the answer of the language model with its adapter out.

MLflow keeps this file with the model ("models from code") and runs it wherever the model is loaded: pandas, torch,
transformers and peft are enough, and the base model under the name that it had in the training.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

MOST_NEW_TOKENS = 256


class Chat(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined, misc]  # MLflow makes the class as it is imported
    """Answers one question at a time."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401  (MLflow's)
        """Load the base model with the adapter that was trained."""
        folder = Path(context.artifacts["adapter"])
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoPeftModelForCausalLM.from_pretrained(folder).to(device).eval()

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002  (MLflow's)
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """For each `question`, the most likely `answer`. `params`: `system_prompt`, and `max_new_tokens`."""
        given = params or {}
        system, max_new_tokens = given.get("system_prompt") or "", int(given.get("max_new_tokens") or MOST_NEW_TOKENS)
        answers = [self._answer(question, system, max_new_tokens) for question in model_input["question"].tolist()]
        return pd.DataFrame({"answer": answers})

    def _answer(self, question: str, system: str, max_new_tokens: int) -> str:
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": question})
        prompt = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self._model.device)
        with torch.inference_mode():
            output = self._model.generate(
                **prompt, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self._tokenizer.pad_token_id
            )
        reply = output[0][prompt["input_ids"].shape[1] :]
        return str(self._tokenizer.decode(reply, skip_special_tokens=True)).strip()


mlflow.models.set_model(Chat())
