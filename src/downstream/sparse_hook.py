"""Sets the weak FFN neurons of a language model to 0 at exported thresholds, and counts those kept.

    from transformers import AutoModelForCausalLM
    from sparse_hook import SparseNeurons

    model = AutoModelForCausalLM.from_pretrained("CHECKPOINT")
    sparse = SparseNeurons("thresholds.safetensors").attach(model)
    model(input_ids)
    print(sparse.activation_ratio())
    sparse.remove()

Neuron i of layer l is weak for a token where abs(h_i) < threshold[l][i]; h enters the down projection. An exact
zero is never counted as kept. Needs torch and safetensors. Written by `sparselaw export`; Apache-2.0.
"""

import torch
from safetensors import safe_open


class SparseNeurons:
    def __init__(self, path):
        with safe_open(path, "pt") as file:
            self.about = file.metadata()
            self.thresholds = {name: file.get_tensor(name) for name in self.about["modules"].split()}
        # Count only these positions, bool [batch, length] (an attention_mask); None counts all, padding too.
        self.positions = None
        self._handles = []
        self.reset()

    def reset(self):
        """Forgets what was counted."""
        self._kept = dict.fromkeys(self.thresholds, 0)
        self._seen = dict.fromkeys(self.thresholds, 0)

    def attach(self, model):
        """Masks in every forward pass of a transformers model, from now until `remove`."""
        for name, threshold in self.thresholds.items():
            down = _down_projection(model, name)
            if threshold.numel() not in down.weight.shape:
                raise ValueError(f"{name} has no {threshold.numel()} neurons: the thresholds are of another model")
            hook = lambda _module, inputs, name=name: (self.mask(name, inputs[0]), *inputs[1:])
            self._handles.append(down.register_forward_pre_hook(hook))
        return self

    def remove(self):
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def transformer_lens_hooks(self):
        """For TransformerLens: `bridge.run_with_hooks(tokens, fwd_hooks=...)`."""
        return [
            (f"blocks.{layer}.mlp.hook_post", lambda h, hook, name=name: self.mask(name, h))
            for layer, name in enumerate(self.thresholds)
        ]

    def mask(self, name, h):
        """h with the weak neurons of one layer set to 0; [..., neurons]."""
        threshold = self.thresholds[name] = self.thresholds[name].to(h.device)
        masked = torch.where(h.abs().float() >= threshold, h, torch.zeros_like(h))
        kept = (masked != 0).reshape(-1, h.shape[-1])
        if self.positions is not None:
            kept = kept[self.positions.reshape(-1).to(h.device, torch.bool)]
        self._kept[name] = self._kept[name] + kept.sum()
        self._seen[name] += kept.numel()
        return masked

    def layer_ratios(self):
        """Share of neurons kept, one value a layer."""
        return [float(self._kept[name]) / self._seen[name] for name in self.thresholds]

    def activation_ratio(self):
        """Mean over the tokens seen, then over the layers."""
        ratios = self.layer_ratios()
        return sum(ratios) / len(ratios)


def _down_projection(model, name):
    # A model without its head (AutoModel) has the same modules without the first part of the name.
    for candidate in (name, name.split(".", 1)[1]):
        try:
            return model.get_submodule(candidate)
        except AttributeError:
            continue
    raise ValueError(f"the model has no module {name}: the thresholds are of another model")
