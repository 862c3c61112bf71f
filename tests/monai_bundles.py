"""Bundles of MONAI with random weights, laid out as in MONAI's model zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

GAN: dict[str, Any] = {
    "imports": ["$import glob"],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "ckpt_path": "$@bundle_root + '/models/model.pt'",
    "latent_size": 12,
    "network_def": {
        "_target_": "Generator",
        "latent_shape": "@latent_size",
        "start_shape": [8, 8, 8],
        "channels": [8, 4, 1],
        "strides": [2, 2, 1],
    },
    "network": "$@network_def.to(@device)",
    "postprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "sigmoid": True}]},
}

LATENT: dict[str, Any] = {
    "imports": ["$import torch", "$from pathlib import Path", "$from scripts.sampler import Sampler"],
    "bundle_root": ".",
    "model_dir": "$@bundle_root + '/models'",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "latent_shape": [2, 16, 16],
    "autoencoder_def": {
        "_target_": "monai.networks.nets.autoencoderkl.AutoencoderKL",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": 2,
        "channels": [8, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 4,
        "attention_levels": [False, False],
        "with_encoder_nonlocal_attn": False,
        "with_decoder_nonlocal_attn": False,
    },
    "network_def": {
        "_target_": "monai.networks.nets.diffusion_model_unet.DiffusionModelUNet",
        "spatial_dims": 2,
        "in_channels": 2,
        "out_channels": 2,
        "channels": [8, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 4,
        "attention_levels": [False, False],
    },
    "load_autoencoder_path": "$@model_dir + '/model_autoencoder.pt'",
    "load_autoencoder": "$@autoencoder_def.load_old_state_dict(torch.load(@load_autoencoder_path))",
    "autoencoder": "$@autoencoder_def.to(@device)",
    "load_diffusion_path": "$@model_dir + '/model.pt'",
    "load_diffusion": "$@network_def.load_old_state_dict(torch.load(@load_diffusion_path))",
    "diffusion": "$@network_def.to(@device)",
    "noise_scheduler": {
        "_target_": "monai.networks.schedulers.ddim.DDIMScheduler",
        "_requires_": ["@load_diffusion", "@load_autoencoder"],
        "num_train_timesteps": 20,
        "clip_sample": False,
    },
    "noise": "$torch.randn([1]+@latent_shape).to(@device)",
    "set_timesteps": "$@noise_scheduler.set_timesteps(num_inference_steps=3)",
    "inferer": {"_target_": "scripts.sampler.Sampler", "_requires_": "@set_timesteps"},
}

SAMPLER = """
import torch

class Sampler:
    @torch.no_grad()
    def sampling_fn(self, noise, autoencoder, network, scheduler, conditioning=None):
        for step in scheduler.timesteps:
            predicted = network(noise, timesteps=torch.full((1,), int(step)), context=conditioning)
            noise, _ = scheduler.step(predicted, step, noise)
        return autoencoder.decode_stage_2_outputs(noise)
"""


def write_bundle(folder: Path, content: dict[str, Any], *, gain: float = 1.0, **changes: Any) -> Path:
    """Write a bundle; its weights are random numbers of a fixed seed, multiplied by a gain."""
    from monai.bundle.config_parser import ConfigParser

    for name in ("configs", "models", "scripts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "sampler.py").write_text(SAMPLER)
    whole = {**content, **changes}
    (folder / "configs" / "inference.json").write_text(json.dumps(whole))
    parts = {"network_def": "model.pt", "autoencoder_def": "model_autoencoder.pt"}
    for name, file in parts.items():
        if name not in whole:
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = ConfigParser({key: whole[key] for key in (name, "latent_size") if key in whole})
            built = network.get_parsed_content(name)
            weights = {key: torch.randn(value.shape) * 0.2 * gain for key, value in built.state_dict().items()}
        torch.save(weights, folder / "models" / file)
    return folder
