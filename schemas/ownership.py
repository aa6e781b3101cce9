"""Who owns each foreign key and what a change of it brings about. Read by the generator only.

A key that no list names changes the result (training blocks) or the served version (engine). So a key that a new
release of a library brings is on the safe side until somebody looks at it.
"""

from __future__ import annotations

from typing import Any

from schemas.effects import Effect

OURS = "set by Loraform"

_LOGGING = """
    logging_strategy logging_steps logging_first_step log_on_each_node logging_nan_inf_filter log_level
    log_level_replica disable_tqdm report_to run_name project trackio_space_id trackio_bucket_id
    trackio_static_space_id include_num_input_tokens_seen skip_memory_metrics include_for_metrics
    eval_strategy eval_steps eval_delay eval_on_start prediction_loss_only batch_eval_metrics eval_do_concat_batches
    save_strategy save_steps save_total_limit save_only_model save_on_each_node enable_jit_checkpoint
    metric_for_best_model greater_is_better debug
"""
_CAPACITY = """
    per_device_train_batch_size gradient_accumulation_steps per_device_eval_batch_size eval_accumulation_steps
    eval_use_gather_object gradient_checkpointing gradient_checkpointing_kwargs activation_offloading
    dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor
    dataloader_multiprocessing_context dataloader_in_order dataset_num_proc torch_empty_cache_steps
    ddp_backend ddp_bucket_cap_mb ddp_broadcast_buffers ddp_find_unused_parameters ddp_static_graph ddp_timeout
    fsdp fsdp_config deepspeed accelerator_config parallelism_config use_cache
"""
_TRAINING_OURS = """
    output_dir push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision
    do_train do_eval do_predict resume_from_checkpoint restore_callback_states_from_checkpoint local_rank
    ignore_data_skip model_init_kwargs trust_remote_code chat_template_path use_cpu remove_unused_columns label_names
    bf16_full_eval fp16_full_eval pad_token dataset_kwargs
"""
_ADAPTER_OURS = """
    task_type peft_type auto_mapping peft_version base_model_name_or_path revision inference_mode
    megatron_config megatron_core
"""
_ENGINE_OURS = """
    model model_weights served_model_name tokenizer tokenizer_revision revision code_revision hf_config_path hf_token
    trust_remote_code enable_lora max_loras max_lora_rank max_cpu_loras default_mm_loras runner convert
    skip_tokenizer_init allowed_local_media_path allowed_media_domains download_dir
    master_addr master_port nnodes node_rank data_parallel_rank data_parallel_start_rank data_parallel_address
    data_parallel_rpc_port data_parallel_external_lb data_parallel_hybrid_lb data_parallel_multi_port_external_lb
    generation_config override_generation_config log_config_file logging_config profiler_config worker_cls
    worker_extension_cls scheduler_cls logits_processors io_processor_plugin reasoning_parser_plugin tokens_only
    fail_on_environ_validation pooler_config hf_overrides model_class_overrides
    mamba_config enable_mm_processor_stats
"""
_GENERATION_OURS = """
    output_kind stream_interval skip_clone output_text_buffer_length detokenize flat_logprobs extra_args n
    prompt_logprobs prompt_logprob_token_ids prompt_logprob_start logprob_token_ids logprobs routed_experts_prompt_start
    trace_decode_token_ids watermarking skip_reading_prefix_cache
"""
_SELECTS = """
    eval_strategy eval_steps eval_delay eval_on_start save_strategy save_steps metric_for_best_model greater_is_better
    prediction_loss_only
"""

_EFFECTS: dict[str, dict[str, str]] = {
    "training": {
        **dict.fromkeys(_LOGGING.split(), Effect.NOTHING),
        **dict.fromkeys(_CAPACITY.split(), Effect.RUN),
        **dict.fromkeys(_TRAINING_OURS.split(), OURS),
    },
    "adapter": {"runtime_config": Effect.RUN, **dict.fromkeys(_ADAPTER_OURS.split(), OURS)},
    "quantization": {},
    "engine": dict.fromkeys(_ENGINE_OURS.split(), OURS),
    "generation": dict.fromkeys(_GENERATION_OURS.split(), OURS),
}
_OTHERWISE = {
    "training": Effect.RETRAIN,
    "adapter": Effect.RETRAIN,
    "quantization": Effect.RETRAIN,
    "engine": Effect.VERSION,
    "generation": Effect.VERSION,
}

DEFAULTS: dict[tuple[str, str], Any] = {
    ("training", "assistant_only_loss"): True,
    ("training", "truncation_mode"): None,
}
"""Where leaving a key out means something else to the trainer than to its library: only answers are learnt, and a row
that is too long is an error rather than cut."""

_DTYPES = ("float32", "float16", "bfloat16")
TYPES: dict[tuple[str, str], tuple[str, tuple[Any, ...]]] = {
    ("quantization", "bnb_4bit_compute_dtype"): ("str|null", _DTYPES),
    ("quantization", "bnb_4bit_quant_storage"): ("str|null", ("uint8", *_DTYPES)),
    ("quantization", "bnb_4bit_quant_type"): ("str", ("nf4", "fp4")),
    ("quantization", "llm_int8_skip_modules"): ("list[str]|null", ()),
    ("adapter", "init_lora_weights"): ("bool|str", ()),
    ("adapter", "rank_pattern"): ("map[int]", ()),
    ("adapter", "alpha_pattern"): ("map[int]", ()),
    ("training", "include_num_input_tokens_seen"): ("bool|str", ("all", "non_padding", "no")),
    ("training", "truncation_mode"): ("str", ("keep_start", "keep_end")),
    ("training", "packing_strategy"): ("str", ("bfd", "bfd_split", "wrapped")),
    ("training", "loss_type"): ("str", ("nll", "dft", "chunked_nll")),
    ("engine", "quantization_config"): ("map|null", ()),
}
"""Types that the libraries say only in words."""


def effect_of(block: str, key: str) -> str:
    """The declared effect of a key, or `set by Loraform`."""
    return _EFFECTS[block].get(key, _OTHERWISE[block])


def selects(block: str, key: str) -> bool:
    """True for keys that decide which checkpoint is the best one."""
    return block == "training" and key in _SELECTS.split()


def binds(effect: str) -> bool:
    """True when the published default of such a key may never move: identities and versions are computed from it."""
    return effect in (Effect.RETRAIN, Effect.VERSION)
