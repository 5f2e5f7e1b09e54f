"""The weight tables of the five networks."""

import numpy as np

from uav_jax.weights.rules import (
    CONV2D,
    CONV3D,
    CONV_TIME,
    LINEAR,
    Derived,
    Rule,
    Transform,
    WeightTable,
    layer,
    norm,
    under,
)


def _residual(conv: Transform) -> tuple[Rule, ...]:
    return (
        *norm("norm1"),
        *layer("conv1", conv),
        *layer("time_emb_proj", LINEAR),
        *norm("norm2"),
        *layer("conv2", conv),
        *layer("conv_shortcut", CONV2D),
    )


_TRANSFORMER_BLOCK = (
    *(
        rule
        for attention in ("attn1", "attn2", "attn_temporal")
        for rule in (
            Rule(f"{attention}.to_q.weight", f"{attention}.to_q.kernel", LINEAR),
            Rule(f"{attention}.to_k.weight", f"{attention}.to_k.kernel", LINEAR),
            Rule(f"{attention}.to_v.weight", f"{attention}.to_v.kernel", LINEAR),
            *layer(f"{attention}.to_out.0", LINEAR, f"{attention}.to_out"),
        )
    ),
    Rule(
        "attn_temporal.time_rel_pos_bias.relative_attention_bias.weight",
        "attn_temporal.relative_attention_bias.embedding",
    ),
    *norm("norm1"),
    *norm("norm2"),
    *norm("norm_temporal"),
    *norm("norm3"),
    *layer("ff.net.0.proj", LINEAR, "ff.proj"),
    *layer("ff.net.2", LINEAR, "ff.out"),
)

_TRANSFORMER = (
    *under("resblock_temporal.", "resblock_temporal.", _residual(CONV_TIME)),
    *norm("norm"),
    *layer("proj_in", LINEAR),
    *under("transformer_blocks.{j}.", "transformer_blocks.{j}.", _TRANSFORMER_BLOCK),
    *layer("proj_out", LINEAR),
)

_TEMPORAL_MODULE = (
    *under("resblocks_3d_temporal.", "temporal.", _residual(CONV_TIME)),
    *under("resblocks_3d_spatial.", "spatial.", _residual(CONV2D)),
    *layer("shift_conv", CONV2D),
)

UNET = WeightTable(
    rules=(
        *layer("conv_in", CONV2D),
        *layer("time_embedding.linear_1", LINEAR),
        *layer("time_embedding.linear_2", LINEAR),
        Rule("class_embedding.weight", "noise_level_embedding.embedding"),
        Rule("temporal_rotary_emb.freqs", "rotary.freqs"),
        *(
            rule
            for side in ("down", "up")
            for rule in (
                *under(
                    f"{side}_blocks.{{i}}.resnets.{{layer}}.",
                    f"{side}_blocks.{{i}}.resnets.{{layer}}.",
                    _residual(CONV2D),
                ),
                *under(
                    f"{side}_blocks.{{i}}.attentions.{{layer}}.",
                    f"{side}_blocks.{{i}}.attentions.{{layer}}.",
                    _TRANSFORMER,
                ),
                *under(
                    f"{side}_blocks.{{i}}.{side}samplers.0.",
                    f"{side}_blocks.{{i}}.resample.",
                    layer("conv", CONV2D),
                ),
                *under(f"{side}_temp_blocks.{{i}}.", f"{side}_temporal.{{i}}.", _TEMPORAL_MODULE),
            )
        ),
        *under("mid_block.resnets.{i}.", "mid_block.resnets.{i}.", _residual(CONV2D)),
        *under("mid_block.attentions.{i}.", "mid_block.attentions.{i}.", _TRANSFORMER),
        *under("mid_temp_block.", "mid_temporal.", _TEMPORAL_MODULE),
        *norm("conv_norm_out"),
        *layer("conv_out", CONV2D),
    ),
    derived=(
        Derived(
            "{path}.attn_temporal.rotary_emb.freqs",
            "{path}.attn_temporal.to_q.kernel",
            lambda published, _: published["temporal_rotary_emb.freqs"],
            strict=True,
        ),
    ),
)

_VAE_RESIDUAL = (*_residual(CONV2D), *norm("norm_3d"), *layer("conv_3d", CONV3D))

_VAE_MID = (
    *under("resnets.{i}.", "resnets.{i}.", _VAE_RESIDUAL),
    *under(
        "attentions.{i}.",
        "attentions.{i}.",
        (
            *norm("group_norm"),
            *layer("query", LINEAR),
            *layer("key", LINEAR),
            *layer("value", LINEAR),
            *layer("proj_attn", LINEAR),
        ),
    ),
)

_TRUNK_DECODER = (
    *layer("head.conv", CONV2D),
    Rule("head.prelu.weight", "head.slope"),
    *layer("body.{i}.conv", CONV2D),
    Rule("body.{i}.prelu.weight", "body.{i}.slope"),
    *layer("condition_in.{i}", CONV2D),
    *layer("condition_fuse.{i}.scale", CONV2D),
    *layer("condition_fuse.{i}.shift", CONV2D),
    *layer("temporal.{i}", CONV3D),
)

VAE = WeightTable(
    rules=(
        *layer("quant_conv", CONV2D),
        *layer("post_quant_conv", CONV2D),
        *(
            rule
            for half, side in (("encoder", "down"), ("decoder", "up"))
            for rule in under(
                f"{half}.",
                f"{half}.",
                (
                    *layer("conv_in", CONV2D),
                    *under(
                        f"{side}_blocks.{{i}}.resnets.{{layer}}.",
                        f"{side}_blocks.{{i}}.resnets.{{layer}}.",
                        _VAE_RESIDUAL,
                    ),
                    *under(
                        f"{side}_blocks.{{i}}.{side}samplers.0.",
                        f"{side}_blocks.{{i}}.resample.",
                        layer("conv", CONV2D),
                    ),
                    *under("mid_block.", "mid_block.", _VAE_MID),
                    *norm("conv_norm_out"),
                    *layer("conv_out", CONV2D),
                ),
            )
        ),
        *under("decoder.condition_in.{i}.", "decoder.condition_in.{i}.", _VAE_RESIDUAL),
        *under(
            "decoder.condition_fuse.",
            "decoder.condition_fuse.",
            (
                *under("shared.{i}.", "shared.{i}.", _residual(CONV2D)),
                *layer("scale", CONV2D),
                *layer("shift", CONV2D),
            ),
        ),
        *under("decoder.", "decoder.", _TRUNK_DECODER),
    ),
)

TEXT_ENCODER = WeightTable(
    rules=under(
        "text_model.",
        "",
        (
            Rule("embeddings.token_embedding.weight", "token_embedding.embedding"),
            Rule("embeddings.position_embedding.weight", "position_embedding.embedding"),
            *under(
                "encoder.layers.{i}.",
                "layers.{i}.",
                (
                    *layer("self_attn.q_proj", LINEAR),
                    *layer("self_attn.k_proj", LINEAR),
                    *layer("self_attn.v_proj", LINEAR),
                    *layer("self_attn.out_proj", LINEAR),
                    *norm("layer_norm1"),
                    *layer("mlp.fc1", LINEAR, "fc1"),
                    *layer("mlp.fc2", LINEAR, "fc2"),
                    *norm("layer_norm2"),
                ),
            ),
            *norm("final_layer_norm"),
        ),
    ),
    derived=(
        Derived(
            "text_model.embeddings.position_ids",
            "position_embedding.embedding",
            lambda published, _: np.arange(
                len(published["text_model.embeddings.position_embedding.weight"]), dtype=np.int64
            )[None],
        ),
    ),
)


def _batch_norm(source: str, target: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{source}.weight", f"{target}.scale"),
        Rule(f"{source}.bias", f"{target}.bias"),
        Rule(f"{source}.running_mean", f"{target}.mean"),
        Rule(f"{source}.running_var", f"{target}.variance"),
    )


def _raft_encoder(name: str) -> tuple[Rule, ...]:
    block = (
        *layer("conv1", CONV2D),
        *layer("conv2", CONV2D),
        *layer("downsample.0", CONV2D, "shortcut"),
    )
    if name == "cnet":
        block += (
            *_batch_norm("norm1", "norm1"),
            *_batch_norm("norm2", "norm2"),
            *_batch_norm("downsample.1", "shortcut_norm"),
        )
    blocks = tuple(
        rule for n in (1, 2, 3) for rule in under(f"layer{n}.{{i}}.", f"layer{n}.{{i}}.", block)
    )
    stem = _batch_norm("norm1", "norm1") if name == "cnet" else ()
    encoder = (*layer("conv1", CONV2D), *stem, *blocks, *layer("conv2", CONV2D))
    return under(f"module.{name}.", f"{name}.", encoder)


def _same_norm(published, name: str) -> np.ndarray:
    return published[name.replace(".norm3.", ".downsample.1.")]


RAFT = WeightTable(
    rules=(
        *_raft_encoder("fnet"),
        *_raft_encoder("cnet"),
        *under(
            "module.update_block.",
            "update.",
            (
                *layer("encoder.{layer}", CONV2D, "motion.{layer}"),
                *layer("gru.{layer}", CONV2D),
                *layer("flow_head.{layer}", CONV2D),
                *layer("mask.0", CONV2D, "mask_head.conv1"),
                *layer("mask.2", CONV2D, "mask_head.conv2"),
            ),
        ),
    ),
    derived=(
        *(
            Derived(
                f"module.cnet.{{path}}.norm3.{theirs}",
                f"cnet.{{path}}.shortcut_norm.{ours}",
                _same_norm,
            )
            for theirs, ours in (
                ("weight", "scale"),
                ("bias", "bias"),
                ("running_mean", "mean"),
                ("running_var", "variance"),
            )
        ),
        *(
            Derived(
                f"module.cnet.{theirs}.num_batches_tracked",
                f"cnet.{ours}.mean",
                lambda *_: np.zeros((), np.int64),
            )
            for theirs, ours in (
                ("norm1", "norm1"),
                ("{path}.norm1", "{path}.norm1"),
                ("{path}.norm2", "{path}.norm2"),
                ("{path}.norm3", "{path}.shortcut_norm"),
                ("{path}.downsample.1", "{path}.shortcut_norm"),
            )
        ),
    ),
)
