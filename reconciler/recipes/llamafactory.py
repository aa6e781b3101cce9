"""Recipes of LLaMA-Factory: what its keys become in a manifest; its data sets are looked up in `dataset_info.json`.

Beside its own keys it takes transformers' `TrainingArguments`, whose names are ours as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.core.resources import Json
from reconciler.recipes.carry import (
    Imported,
    Left,
    NotSupervised,
    Outcome,
    Put,
    Rule,
    carried,
    left,
    number,
    table_of,
    to,
    unless_off,
)
from reconciler.recipes.llamafactory_rows import rows_of
from reconciler.recipes.transformers_keys import training_rules


def read_llamafactory(recipe: Mapping[str, Json], info: Callable[[str], Mapping[str, Json] | None]) -> Imported:
    """The manifest of a recipe. `info` gives the entry of a data set in `dataset_info.json`, None if it has none.

    Raises NotSupervised for other stages than sft, and for other methods than LoRA and full fine-tuning.
    """
    stage, method = recipe.get("stage", "sft"), recipe.get("finetuning_type", "lora")
    if stage != "sft":
        raise NotSupervised(
            f"`stage: {stage}` is no supervised fine-tuning.", "Keep such a recipe with its own trainer."
        )
    if method not in ("lora", "full"):
        raise NotSupervised(f"`finetuning_type: {method}` is none that Loraform trains.", "Use lora or full.")
    rules: dict[str, Rule] = {**training_rules(), **table_of(_LEFT), **_RULES}
    further = [*rows_of(recipe, info), *_method(recipe, str(method))]
    return carried(recipe, rules, further, (*_adapter_defaults(recipe, str(method)), *_DEFAULTS))


def _method(recipe: Mapping[str, Json], method: str) -> list[tuple[str, Outcome]]:
    """`finetuning_type` and the keys of quantisation: together they are our method."""
    bits = number(recipe.get("quantization_bit"))
    named: list[tuple[str, Outcome]] = [
        (key, ()) for key in ("stage", "quantization_bit", "quantization_method", "quantization_type",
                              "double_quantization", "quantization_device_map") if recipe.get(key) is not None
    ]  # fmt: skip
    ours = "qlora" if method == "lora" and bits == 4 else method
    outcomes: list[Put | Left] = [Put("adapter.method", ours)]
    kind = recipe.get("quantization_method", "bnb")
    if bits is not None and kind != "bnb":
        outcomes = [
            Put("adapter.method", method),
            Left(f"a base quantised with {kind}: only bitsandbytes is used here"),
        ]
    elif bits == 8:
        outcomes.append(Put("quantization.load_in_8bit", True))
    elif bits == 4:
        if recipe.get("quantization_type") == "fp4":
            outcomes.append(Put("quantization.bnb_4bit_quant_type", "fp4"))
        if recipe.get("double_quantization") is False:
            outcomes.append(Put("quantization.bnb_4bit_use_double_quant", False))
    elif bits is not None:
        outcomes.append(Left(f"{bits} bits: bitsandbytes has 4 and 8"))
    return [("finetuning_type", tuple(outcomes)), *named]


def _adapter_defaults(recipe: Mapping[str, Json], method: str) -> list[Put]:
    if method == "full":
        return []
    rank = number(recipe.get("lora_rank")) or 8
    alpha = 2 * rank if isinstance(rank, (int, float)) else 16
    return [
        Put("adapter.lora_alpha", alpha, "LLaMA-Factory's default: twice the rank"),
        Put("adapter.target_modules", "all-linear", "LLaMA-Factory's default"),
    ]


def _listed(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    return "all-linear" if value == "all" else [part.strip() for part in value.split(",") if part.strip()]


def _attention(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    names = {"fa2": "flash_attention_2", "fa3": "flash_attention_3", "sdpa": "sdpa", "disabled": "eager"}
    found = names.get(str(value))
    return Put("model.attn_implementation", found) if found else Left("transformers chooses, as here")


def _pissa(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    if not value:
        return Left("off, as here")
    rounds = number(recipe.get("pissa_iter", 16))
    return Put("adapter.init_lora_weights", "pissa" if rounds == -1 else f"pissa_niter_{rounds}")


def _checkpointing(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    return Put("training.gradient_checkpointing", not value, "the other way round")


def _packing(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    return Put("training.packing", True) if value else Left("off, as here")


_RULES: Mapping[str, Rule] = {
    "model_name_or_path": to("model.base"),
    "model_revision": lambda value, _: (
        Left("`loraform pin` writes the newest commit") if value == "main" else Put("model.revision", value)
    ),
    "trust_remote_code": unless_off(to("model.trust_remote_code"), "off, as here"),
    "flash_attn": _attention,
    "adapter_name_or_path": left("continuing from another adapter: not possible here yet"),
    "template": left("the base's own chat template is used: compare it, or name a file as model.chat_template"),
    "lora_rank": to("adapter.r", number),
    "lora_alpha": to("adapter.lora_alpha", number),
    "lora_dropout": to("adapter.lora_dropout", number),
    "lora_target": to("adapter.target_modules", _listed),
    "additional_target": to("adapter.modules_to_save", _listed),
    "use_rslora": unless_off(to("adapter.use_rslora"), "off, as here"),
    "use_dora": unless_off(to("adapter.use_dora"), "off, as here"),
    "pissa_init": _pissa,
    "pissa_iter": left("told with `pissa_init`"),
    "cutoff_len": to("training.max_length", number),
    "train_on_prompt": unless_off(to("training.assistant_only_loss", lambda _: False), "off, as here"),
    "packing": _packing,
    "neat_packing": _packing,
    "enable_liger_kernel": unless_off(to("training.use_liger_kernel"), "off, as here"),
    "disable_gradient_checkpointing": _checkpointing,
    "disable_shuffling": unless_off(to("training.train_sampling_strategy", lambda _: "sequential"), "off, as here"),
    "use_dft_loss": unless_off(to("training.loss_type", lambda _: "dft"), "off, as here"),
    "moe_aux_loss_coef": to("training.router_aux_loss_coef", number),
    "pure_bf16": unless_off(to("training.bf16"), "off, as here"),
    "max_new_tokens": to("serving.generation.max_tokens", number),
    "early_stopping_steps": left("early stopping: not possible here yet; `load_best_model_at_end` keeps the best"),
    "compute_accuracy": left("token accuracy is always measured on the eval rows"),
    "predict_with_generate": left("name `evaluation.metrics`: answers are generated for them"),
}
_DEFAULTS = (
    Put("training.max_length", 2048, "LLaMA-Factory's default"),
    Put("training.learning_rate", 5e-5, "transformers' default"),
    Put("data.on_long_row", "truncate", "LLaMA-Factory cuts long rows"),
)
_LEFT: Mapping[str, str] = {
    "Loraform sets it itself": """
        do_train do_eval do_predict output_dir overwrite_output_dir overwrite_cache preprocessing_num_workers
        preprocessing_batch_size tokenized_path data_shared_file_system cache_dir plot_loss print_param_status
        resume_from_checkpoint low_cpu_mem_usage save_safetensors ignore_pad_token_for_loss adapter_folder device_map
        compute_dtype infer_dtype offload_folder use_kv_cache train_from_scratch create_new_adapter hf_hub_token
        ms_hub_token om_hub_token include_effective_tokens_per_second model_max_length""",
    "read from the base's own files": """
        use_fast_tokenizer resize_vocab split_special_tokens rope_scaling tool_format enable_thinking preserve_thinking
        block_diag_attn""",
    "an adapter with another vocabulary cannot be served beside its base": """
        add_tokens add_special_tokens new_special_tokens_config init_special_tokens""",
    "how training is spread over machines is `run.machine` (accelerator_count, replica_count)": """
        deepspeed fsdp fsdp_config ray_num_workers ray_init_kwargs ray_run_name ray_storage_path resources_per_worker
        placement_strategy master_addr master_port use_mca use_megatron_bridge megatron_bridge_args use_hyper_parallel
        hyper_parallel_args hyper_parallel_cp_size use_kt kt_cpu_activation kt_weight_path kt_non_expert_weight_path
        kt_expert_checkpoint_path kt_use_lora_experts kt_lora_expert_num kt_lora_expert_intermediate_size kt_config
        account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split apply_rope_fusion
        bias_activation_fusion calculate_per_token_loss context_parallel_size cross_entropy_loss_fusion
        expert_model_parallel_size export_hf_on_finish extra_config masked_softmax_fusion
        megatron_pretrained_checkpoint mixed_precision moe_grouped_gemm moe_token_dispatcher_type overlap_grad_reduce
        overlap_param_gather pipeline_model_parallel_size recompute_granularity recompute_method recompute_num_layers
        sequence_parallel tensor_model_parallel_size use_distributed_optimizer use_packed_sequences
        virtual_pipeline_model_parallel_size fsdp_transformer_layer_cls_to_wrap""",
    "write it into the rows, or as the block `system` of data.template": "default_system",
    "how it is computed, not what is learnt: trl and transformers choose": """
        use_unsloth use_unsloth_gc use_reentrant_gc upcast_layernorm upcast_lmhead_output use_v1_kernels shift_attn
        mixture_of_depths enable_torch_profiler profiler_output_dir profiler_wait_steps profiler_warmup_steps
        profiler_active_steps profiler_repeat profiler_record_shapes profiler_profile_memory profiler_with_stack
        profile_modules""",
    "another numeric format than trl's own (bf16, fp16)": "fp8 fp8_backend fp8_enable_fsdp_float8_all_gather",
    "an optimiser or a loss of LLaMA-Factory's own": """
        use_galore galore_target galore_rank galore_update_interval galore_scale galore_proj_type galore_layerwise
        use_apollo apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj apollo_proj_type
        apollo_scale_type apollo_layerwise apollo_scale_front use_badam badam_mode badam_start_block badam_switch_mode
        badam_switch_interval badam_update_ratio badam_mask_mode badam_verbose use_adam_mini use_muon use_asft_loss
        asft_alpha use_eaft_loss eaft_alpha loraplus_lr_ratio loraplus_lr_embedding pissa_convert use_llama_pro""",
    "it belongs to another kind of training": """
        pref_beta pref_ftx pref_bco_weight pref_loss dpo_label_smoothing kto_chosen_weight kto_rejected_weight
        simpo_gamma ppo_buffer_size ppo_epochs ppo_score_norm ppo_target ppo_whiten_rewards ref_model
        ref_model_adapters ref_model_quantization_bit reward_model reward_model_adapters reward_model_quantization_bit
        reward_model_type ld_alpha freeze_trainable_layers freeze_trainable_modules freeze_extra_modules
        module_dropout oft_rank oft_block_size oft_target""",
    "rows with pictures, sound or films cannot be trained on": """
        image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches video_max_pixels video_min_pixels
        video_fps video_maxlen use_audio_in_video audio_sampling_rate media_dir freeze_vision_tower
        freeze_multi_modal_projector freeze_language_model""",
    "reports go to the run record and the log; for a tracker set `training.report_to` and `run.env`": """
        use_swanlab swanlab_project swanlab_workspace swanlab_run_name swanlab_mode swanlab_api_key swanlab_logdir
        swanlab_lark_webhook_url swanlab_lark_secret trackio_space_id""",
    "rows are read whole": "streaming buffer_size",
    "the loss is on every answer of a chat; for the last one alone bring rows into prompt and completion":
        "mask_history",
    "how it serves is the block `serving`": """
        infer_backend vllm_maxlen vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config sglang_maxlen
        sglang_mem_fraction sglang_tp_size sglang_config sglang_lora_backend do_sample temperature top_p top_k
        num_beams max_length repetition_penalty length_penalty skip_special_tokens eval_num_beams""",
    "merging is `serving.form: merged`": """
        export_dir export_size export_device export_quantization_bit export_quantization_dataset
        export_quantization_nsamples export_quantization_maxlen export_legacy_format export_hub_model_id""",
    "scoring is `evaluation.metrics`, on the eval rows": """
        task task_dir batch_size lang n_shot save_dir download_mode eval_on_each_dataset""",
}  # fmt: skip
"""Why not -> the keys."""
