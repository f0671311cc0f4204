variable "table_name" {
  type    = string
  default = "my-flags"
}

variable "point_in_time_recovery" {
  description = "Keep backups for 35 days. A connected process fills an empty table anyway."
  type        = bool
  default     = false
}

variable "prefixes" {
  description = "What the Prefix option is set to in your processes. Each gets a policy that confines a process to it."
  type        = set(string)
  default     = []
}

resource "aws_dynamodb_table" "flags" {
  name         = var.table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "namespace"
  range_key    = "key"

  attribute {
    name = "namespace"
    type = "S"
  }

  attribute {
    name = "key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }
}

resource "aws_iam_policy" "read_only" {
  name   = "${var.table_name}-read-only"
  policy = templatefile("${path.module}/policies/read-only.json", { table_arn = aws_dynamodb_table.flags.arn })
}

resource "aws_iam_policy" "read_write" {
  name   = "${var.table_name}-read-write"
  policy = templatefile("${path.module}/policies/read-write.json", { table_arn = aws_dynamodb_table.flags.arn })
}

resource "aws_iam_policy" "one_prefix" {
  for_each = var.prefixes
  name     = "${var.table_name}-prefix-${replace(each.key, "/[^a-zA-Z0-9+=,.@_-]/", "-")}"
  policy   = templatefile("${path.module}/policies/one-prefix.json", { table_arn = aws_dynamodb_table.flags.arn, prefix = each.key })
}

output "table_arn" {
  value = aws_dynamodb_table.flags.arn
}

output "read_only_policy_arn" {
  value = aws_iam_policy.read_only.arn
}

output "read_write_policy_arn" {
  value = aws_iam_policy.read_write.arn
}

output "one_prefix_policy_arns" {
  value = { for prefix, policy in aws_iam_policy.one_prefix : prefix => policy.arn }
}
