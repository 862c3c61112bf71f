"""`medgan convert`: turn a network of StyleGAN2-ADA, StyleGAN3 or PyTorch-StudioGAN into an exported program."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "convert", help="turn a StyleGAN2-ADA, StyleGAN3 or StudioGAN network into a file that can be gated"
    )
    parser.add_argument(
        "network", type=Path, metavar="NETWORK", help="network-snapshot-*.pkl of NVlabs, or model=G*.pth of StudioGAN"
    )
    parser.add_argument(
        "--code", type=Path, required=True, metavar="DIR", help="source of the project that trained the network"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=".pt2 for torch.export, or .pt for TorchScript"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code that NETWORK and --code hold, in a process of its own without network access",
    )
    parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="configuration of a StudioGAN network")
    parser.add_argument("--class", type=int, dest="label", metavar="INDEX", help="class to draw")
    parser.add_argument(
        "--truncation",
        type=float,
        metavar="T",
        help="StyleGAN: factor of the distance of latents from their mean (truncation_psi), 1 changes nothing; "
        "StudioGAN: bound of each number of the latent",
    )
    parser.add_argument("--grey", action="store_true", help="draw the mean of the channels of an RGB network")
    parser.add_argument(
        "--seconds", type=float, default=600.0, metavar="S", help="stop a conversion that takes longer (default 600)"
    )
    parser.add_argument(
        "--allow-network",
        action="store_true",
        help="run the code even where this machine cannot refuse it network access",
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Convert, and print what was written; exit status 0."""
    from pytest_medgan.gan.conversion import ConversionOrder, convert

    order = ConversionOrder(
        network=arguments.network,
        code=arguments.code,
        out=arguments.out,
        config=arguments.config,
        label=arguments.label,
        truncation=arguments.truncation,
        grey=arguments.grey,
        seconds=arguments.seconds,
        allow_network=arguments.allow_network,
    )
    done = convert(order, trusted=arguments.trust)
    channels, height, width = done.shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    low, high = done.values
    print(f"{height}x{width} {kind}, latent {done.latent}, values {low:.2f} to {high:.2f} (drawn clipped to -1..1)")
    print(f"values differ from the network's by at most {done.difference:.2g}")
    if done.isolation is None:
        print("the code ran WITH network access, as --allow-network says")
    print(f"gate it with --medgan-generator={order.out}")
    return 0
